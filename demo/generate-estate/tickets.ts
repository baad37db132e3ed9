import type { SeededRandom } from "../../control/features/seeded-random.ts";
import type { EstateOptions } from "./options.ts";

/** A change or incident by its meaning; `export.ts` writes it as the Table API does. */
export interface DemoChange {
  key: string;
  text: string;
  ci: string;
  /** Further CIs: rows of task_ci. */
  more?: string[];
  state: "new" | "authorize" | "scheduled" | "closed" | "canceled";
  approval: "not requested" | "requested" | "approved" | "rejected";
  onHold?: true;
  startMs: number;
  endMs: number;
}

export interface DemoIncident {
  key: string;
  text: string;
  ci: string;
  state: "in progress" | "resolved" | "closed";
  priority: 1 | 2 | 3 | 4 | 5;
  openedMs: number;
  resolvedMs: number | null;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * About thirty changes, of which only those of the options act within the demo. The others are what a calendar is full
 * of, some of them on the same CIs at the same time: closed, cancelled, rejected, on hold, not yet approved, elsewhere.
 */
export function changes(
  options: EstateOptions,
  clock: { startMs: number; rate: number },
  random: SeededRandom,
): DemoChange[] {
  const second = (s: number): number => clock.startMs + Math.round(s * clock.rate) * 1000;
  const { fate } = options;
  const state =
    fate === "cancelled" ? "canceled" : fate === "rejected" || fate === "unapproved" ? "authorize" : "scheduled";
  const approval = fate === "rejected" ? "rejected" : fate === "unapproved" ? "requested" : "approved";
  const list: DemoChange[] = [];
  const planned = (key: string, text: string, ci: string, from: number, to: number): DemoChange => ({
    key,
    text,
    ci,
    more: [ci],
    state,
    approval,
    startMs: second(from),
    endMs: second(to),
  });
  for (const [i, [from, to]] of options.windows.entries()) {
    list.push(planned(`main${i}`, "Replace storage controller and patch the database of site b", options.on, from, to));
  }
  const first = options.windows[0];
  if (first !== undefined) {
    const [from, to] = first;
    if (options.double)
      list.push(planned("double", "Second part of the storage work at site b", options.on, to + 15, to + 30));
    if (options.overlap) {
      const ci = options.on === "core-db-b" ? "srv-db-b" : options.on;
      list.push(planned("overlap", "Firmware of the database server of site b", ci, (from + to) / 2, to + 10));
    }
  }

  const [from, to] = [second(20), second(80)];
  const add = (change: DemoChange): number => list.push(change);
  const idle = { startMs: from, endMs: to };
  add({
    key: "cancel1",
    text: "Patch the database of site a",
    ci: "core-db-a",
    state: "canceled",
    approval: "approved",
    ...idle,
  });
  add({
    key: "cancel2",
    text: "Replace a disk of the array at site a",
    ci: "san-a",
    state: "canceled",
    approval: "approved",
    ...idle,
  });
  add({
    key: "reject1",
    text: "Restart the ledger at site a",
    ci: "ledger-app-a",
    state: "authorize",
    approval: "rejected",
    ...idle,
  });
  add({
    key: "reject2",
    text: "Kernel update of the quote servers",
    ci: "srv-quote-a1",
    state: "new",
    approval: "rejected",
    ...idle,
  });
  add({
    key: "ask1",
    text: "New release of the payments application",
    ci: "pay-app-a",
    state: "authorize",
    approval: "requested",
    ...idle,
  });
  add({
    key: "ask2",
    text: "Move the quote cache",
    ci: "quote-cache-a",
    state: "new",
    approval: "not requested",
    ...idle,
  });
  add({
    key: "hold1",
    text: "Switch firmware at site b",
    ci: "sw-b1",
    state: "scheduled",
    approval: "approved",
    onHold: true,
    ...idle,
  });
  add({
    key: "else1",
    text: "Reorganise the report database",
    ci: "report-db",
    more: ["srv-db-r"],
    state: "scheduled",
    approval: "approved",
    ...idle,
  });
  add({
    key: "else2",
    text: "Backup software update",
    ci: "srv-backup-1",
    more: ["nas-2"],
    state: "scheduled",
    approval: "approved",
    ...idle,
  });
  add({
    key: "else3",
    text: "Mail relay certificate",
    ci: "srv-mail-1",
    state: "scheduled",
    approval: "approved",
    ...idle,
  });
  add({
    key: "done1",
    text: "Index maintenance at site b",
    ci: "core-db-b",
    state: "closed",
    approval: "approved",
    ...idle,
  });

  const past = [
    "pay-app-a",
    "pay-app-b",
    "quote-app-a",
    "quote-app-b",
    "quote-app-n",
    "ledger-app-a",
    "ledger-app-b",
    "core-db-a",
    "core-db-b",
    "srv-db-b",
    "sw-a1",
    "rt-b",
    "san-b",
    "srv-pay-a1",
    "report-app",
    "lb-1",
  ];
  for (const [i, ci] of past.entries()) {
    const startMs = clock.startMs - random.integer(2, 40) * DAY_MS + random.integer(0, 11) * HOUR_MS;
    const endMs = startMs + random.integer(1, 4) * HOUR_MS;
    const more = i % 3 === 0 ? [ci] : [];
    const canceled = i % 7 === 5;
    add({
      key: `past${i}`,
      text: "Monthly maintenance",
      ci,
      more,
      state: canceled ? "canceled" : "closed",
      approval: "approved",
      startMs,
      endMs,
    });
  }
  return list;
}

/** Closed ones, one resolved this morning, and an open P4 that is a nuisance and no outage. */
export function incidents(clock: { startMs: number }, random: SeededRandom): DemoIncident[] {
  const list: DemoIncident[] = [];
  const cis = [
    "pay-app-a",
    "pay-app-b",
    "core-db-b",
    "quote-app-b",
    "ledger-app-a",
    "srv-quote-b1",
    "sw-b1",
    "srv-mail-1",
    "report-app",
    "san-b",
  ];
  for (const [i, ci] of cis.entries()) {
    const openedMs = clock.startMs - random.integer(2, 40) * DAY_MS - random.integer(0, 600) * 60_000;
    const resolvedMs = openedMs + random.integer(10, 400) * 60_000;
    const priority = ([1, 2, 3, 3, 4] as const)[i % 5]!;
    list.push({
      key: `inc${i}`,
      text: "Slow answers reported by users",
      ci,
      state: "closed",
      priority,
      openedMs,
      resolvedMs,
    });
  }
  const morningMs = clock.startMs - 3 * HOUR_MS;
  list.push({
    key: "resolved",
    text: "Connection pool exhausted",
    ci: "ledger-app-b",
    state: "resolved",
    priority: 2,
    openedMs: morningMs,
    resolvedMs: morningMs + 50 * 60_000,
  });
  list.push({
    key: "open4",
    text: "Log files rotate too seldom",
    ci: "pay-app-a",
    state: "in progress",
    priority: 4,
    openedMs: morningMs - 5 * HOUR_MS,
    resolvedMs: null,
  });
  return list;
}
