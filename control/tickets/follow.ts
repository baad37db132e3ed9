import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import type { PendingChange } from "../change/ledger.ts";
import type { Entry } from "../checkpoint/chain.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import { RateLimited } from "./rate-limited.ts";
import { restoreTickets } from "./restore-tickets.ts";
import { nextStep, type Step, type TicketLife, type TicketPolicy } from "./ticket-life.ts";
import { foldTickets, TICKET_TOPIC, type TicketLedger, type TicketNotes, type TicketRules } from "./ticket-log.ts";
import type { TicketStatus } from "./ticket-status.ts";
import type { TicketSystem, TicketView } from "./ticket-system.ts";

export interface FollowOptions {
  store: Pick<CheckpointStore, "append" | "head" | "history" | "watch">;
  /** Fencing token of this server: an older leader's first note is refused, and it stops. */
  term: number;
  system: TicketSystem;
  rules: TicketRules;
  policy: TicketPolicy & {
    /** ticket: only the ticket system's approvals count.   either: Ballast's own as well. */
    approvals: "ticket" | "either";
    /** What a normal change does while the ticket system cannot be asked. */
    whenDown: "hold" | "proceed";
  };
  /** Gives the approval found in the ticket to change control. CHANGE_NOT_FOUND: it has it already. */
  approve(request: { epoch: number; by: string; reason: string }): Promise<unknown>;
  refuse(request: { epoch: number; by: string; reason: string }): Promise<unknown>;
  /** How often a ticket that waits is looked at. Default 30 s. */
  pollEveryMs?: number;
  /** Longest pause after failures. Default 5 min. */
  maxBackoffMs?: number;
  /** Tickets worked on at a time. Default 4. */
  concurrency?: number;
  log?: { info(detail: object, message: string): void; warn(detail: object, message: string): void };
  wallMs?: () => number;
  random?: () => number;
}

/** What this process alone knows of a ticket; forgotten at a restart without harm. */
interface Working {
  view: TicketView | null;
  dueMs: number;
  failures: number;
  text: string;
  busy: boolean;
  warned: string;
  /** Of the last conflict check. */
  checkedMs: number;
}

const SNAPSHOT_EVERY = 500;
const DOWN = new Set([
  "TICKET_SYSTEM_DOWN",
  "TICKET_AUTH",
  "TICKET_FORBIDDEN",
  "TICKET_RATE_LIMITED",
  "TICKET_ANSWER_INVALID",
]);

/**
 * Follows the log and brings every ticket to where its checkpoint is. Nothing here holds an epoch up: a normal change waits
 * because nobody has approved it yet, an emergency waits for nobody. Work is bounded by `rules.maxLives` tickets and
 * `concurrency` calls; a ticket that fails is tried again with growing pauses and stands in the status until it succeeds.
 */
export class TicketFollower {
  readonly #options: FollowOptions &
    Required<Pick<FollowOptions, "pollEveryMs" | "maxBackoffMs" | "concurrency" | "wallMs" | "random">>;
  readonly #stop = new AbortController();
  readonly #working = new Map<number, Working>();
  /** Sequence numbers of our own notes, folded when written and skipped when watched. */
  readonly #own = new Set<number>();
  #ledger: TicketLedger;
  /** Up to here the log is folded. */
  #throughSeq: number;
  #sinceSnapshot = 0;
  #timer: NodeJS.Timeout | undefined;
  #running = new Set<Promise<void>>();
  #reachable = true;
  #lastError: TicketStatus["lastError"] = null;
  #stopped: string | null = null;

  private constructor(options: FollowOptions, ledger: TicketLedger, throughSeq: number) {
    this.#options = {
      pollEveryMs: 30_000,
      maxBackoffMs: 300_000,
      concurrency: 4,
      wallMs: Date.now,
      random: Math.random,
      ...options,
    };
    this.#ledger = ledger;
    this.#throughSeq = throughSeq;
  }

  /** Reads what was known before, then follows. Rejects when the store cannot be read. */
  static async start(options: FollowOptions): Promise<TicketFollower> {
    const { ledger, throughSeq, found } = await restoreTickets(options.store, options.rules);
    const follower = new TicketFollower(options, ledger, throughSeq);
    if (!found) await follower.#snapshot();
    follower.#spawn(follower.#watch());
    follower.#wake();
    return follower;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await Promise.allSettled([...this.#running]);
  }

  /**
   * Called before a person's approval of a waiting change is taken in Ballast. Throws TICKET_NOT_APPROVED when only the ticket
   * system's approvals count; a change that came with its author's own ticket is not followed there and passes.
   * Undefined: what is to be approved does not wait (an emergency's owed approval may be given anywhere).
   */
  demandApproved(change: PendingChange | undefined): void {
    const { policy, system } = this.#options;
    if (change === undefined || change.record.ticket !== undefined || policy.approvals === "either") return;
    if (!this.#reachable && policy.whenDown === "proceed") return;
    const ticket = this.#lifeOf(change.epoch)?.ticket ?? null;
    const where = ticket === null ? "has no ticket yet" : `has ticket ${ticket.number}`;
    const down = this.#reachable ? "" : `; ${system.name} cannot be asked: ${this.#lastError?.message ?? "no answer"}`;
    throw new BallastError(
      "TICKET_NOT_APPROVED",
      `change ${change.epoch} ${where}, and is approved there alone${down}`,
    );
  }

  status(): TicketStatus {
    return {
      system: this.#options.system.name,
      reachable: this.#reachable,
      lastError: this.#lastError,
      stopped: this.#stopped,
      skipped: this.#ledger.skipped,
      tickets: this.#ledger.lives.map(({ epoch, carriedOutAs, type, goal, ticket }) => {
        const { view = null, text = "", failures = 0 } = this.#working.get(epoch) ?? {};
        const { number = null, url = null } = ticket ?? {};
        return { epoch, carriedOutAs, type, goal: goal.kind, number, url, phase: view?.phase ?? null, text, failures };
      }),
    };
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#stopped === null) {
      try {
        for await (const entry of this.#options.store.watch(this.#throughSeq + 1, { signal })) {
          if (!this.#own.delete(entry.seq)) this.#fold(entry);
          this.#throughSeq = entry.seq;
          this.#sinceSnapshot += 1;
          if (this.#sinceSnapshot >= SNAPSHOT_EVERY) await this.#snapshot();
          this.#wake();
        }
      } catch (thrown) {
        if (signal.aborted) return;
        this.#failed("the log", thrown);
        await sleep(1000, undefined, { signal }).catch(() => {});
      }
    }
  }

  #fold({ body }: Pick<Entry, "body">): void {
    const before = this.#ledger;
    this.#ledger = foldTickets(before, body, this.#options.rules);
    if (this.#ledger === before) return;
    const known = new Map(before.lives.map((life) => [life.epoch, life]));
    for (const life of this.#ledger.lives) {
      const earlier = known.get(life.epoch);
      known.delete(life.epoch);
      const working = this.#working.get(life.epoch);
      // Something new is wanted of it: look again at once.
      if (working !== undefined && earlier !== life) Object.assign(working, { dueMs: 0, view: null });
    }
    for (const epoch of known.keys()) this.#working.delete(epoch);
  }

  /** Starts what is due and sets the timer for the rest. Emergencies first, then in order of age. */
  #wake(): void {
    clearTimeout(this.#timer);
    if (this.#stop.signal.aborted || this.#stopped !== null) return;
    const nowMs = performance.now();
    let dueMs = Number.POSITIVE_INFINITY;
    let busy = [...this.#working.values()].filter((working) => working.busy).length;
    const lives = this.#ledger.lives.toSorted((a, b) => rank(a) - rank(b));
    for (const life of lives) {
      const working = this.#workingOf(life.epoch);
      if (working.busy) continue;
      if (working.dueMs > nowMs) {
        dueMs = Math.min(dueMs, working.dueMs);
      } else if (busy < this.#options.concurrency) {
        busy += 1;
        working.busy = true;
        this.#spawn(this.#work(life.epoch, working));
      }
    }
    if (Number.isFinite(dueMs)) this.#timer = setTimeout(() => this.#wake(), Math.ceil(dueMs - nowMs) + 1).unref();
  }

  #spawn(work: Promise<void>): void {
    const running: Promise<void> = work.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #workingOf(epoch: number): Working {
    const known = this.#working.get(epoch);
    if (known !== undefined) return known;
    const fresh: Working = { view: null, dueMs: 0, failures: 0, text: "", busy: false, warned: "", checkedMs: 0 };
    this.#working.set(epoch, fresh);
    return fresh;
  }

  /** Steps of one ticket until it waits, fails or is finished. */
  async #work(epoch: number, working: Working): Promise<void> {
    let worked: TicketLife | undefined;
    try {
      // Bounded: the phases of a ticket are fewer, and whoever moves it back and forth waits for the next look.
      for (let steps = 0; steps < 16; steps++) {
        worked = this.#lifeOf(epoch);
        if (worked === undefined || this.#stop.signal.aborted) return;
        const step = nextStep(worked, working.view, this.#options.policy);
        const goOn = await this.#do(worked, working, step);
        working.failures = 0;
        if (!goOn) break;
      }
      // What the log said meanwhile is looked at now, not at the next look.
      if (this.#lifeOf(epoch) === worked) this.#pause(working, this.#options.pollEveryMs);
      else working.dueMs = 0;
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      working.failures += 1;
      working.text = (thrown as Error).message;
      working.view = null;
      this.#failed(`the ticket of epoch ${epoch}`, thrown, working);
      const { pollEveryMs, maxBackoffMs } = this.#options;
      const backoffMs = Math.min(maxBackoffMs, pollEveryMs * 2 ** Math.min(working.failures - 1, 16));
      this.#pause(working, Math.max(backoffMs, thrown instanceof RateLimited ? thrown.retryAfterMs : 0));
    } finally {
      working.busy = false;
      this.#wake();
    }
  }

  #lifeOf(epoch: number): TicketLife | undefined {
    return this.#ledger.lives.find((life) => life.epoch === epoch);
  }

  /** With half of it left to chance, so that many tickets do not come back together. */
  #pause(working: Working, ms: number): void {
    working.dueMs = performance.now() + ms * (0.75 + this.#options.random() / 2);
  }

  /** True when the next step may follow at once. */
  async #do(life: TicketLife, working: Working, step: Step): Promise<boolean> {
    const { system, log } = this.#options;
    const call = { signal: this.#stop.signal };
    const { epoch } = life;
    switch (step.do) {
      case "open": {
        if (!life.opening) await this.#note(TICKET_TOPIC.opening, epoch, { correlationId: life.draft.correlationId });
        const { ticket, ignored } = await this.#asked(system.open(life.draft, call));
        if (ignored.length > 0) log?.warn({ epoch, ticket: ticket.number, ignored }, "fields the ticket did not take");
        await this.#note(TICKET_TOPIC.opened, epoch, { ticket, ignored });
        return true;
      }
      case "view":
        working.view = await this.#asked(system.approvalState(life.ticket!, call));
        return true;
      case "checkConflicts": {
        const found = await this.#asked(system.checkConflicts(life.ticket!, call));
        working.checkedMs = performance.now();
        await this.#note(TICKET_TOPIC.conflicts, epoch, { found });
        return true;
      }
      case "update":
        await this.#asked(system.update(life.ticket!, step.change, call));
        working.view = null;
        return true;
      case "close":
        await this.#asked(system.close(life.ticket!, step.outcome, call));
        working.view = null;
        return true;
      case "approve":
        working.text = step.evidence;
        await told(this.#options.approve({ epoch: life.carriedOutAs ?? epoch, by: step.by, reason: step.evidence }));
        working.view = null;
        return false;
      case "refuse":
        working.text = step.reason;
        await told(this.#options.refuse({ epoch, by: step.by, reason: step.reason }));
        working.view = null;
        return false;
      case "wait":
        working.text = step.why;
        working.view = null;
        return this.#recheck(life, working);
      case "finish":
        await this.#note(TICKET_TOPIC.finished, epoch, { why: step.why });
        log?.info({ epoch, ticket: life.ticket?.number }, step.why);
        return false;
    }
  }

  /** Schedules change: what waits because of conflicts is checked again at every look. True when that gave something new. */
  async #recheck({ epoch, goal, ticket, conflicts }: TicketLife, working: Working): Promise<boolean> {
    const { policy, system, pollEveryMs } = this.#options;
    if (goal.kind !== "approve" || policy.onConflict !== "hold" || conflicts.state !== "checked") return false;
    const recent = performance.now() - working.checkedMs < pollEveryMs / 2;
    if (conflicts.found.length === 0 || recent) return false;
    const found = await this.#asked(system.checkConflicts(ticket!, { signal: this.#stop.signal }));
    working.checkedMs = performance.now();
    if (JSON.stringify(found) === JSON.stringify(conflicts.found)) return false;
    await this.#note(TICKET_TOPIC.conflicts, epoch, { found });
    return true;
  }

  /** Any answer shows that it can be asked, a refusal too. */
  async #asked<T>(answer: Promise<T>): Promise<T> {
    const value = await answer;
    this.#reachable = true;
    return value;
  }

  async #note<T extends keyof TicketNotes>(topic: T, epoch: number | null, detail: TicketNotes[T]): Promise<void> {
    const body = { kind: "note", epoch, topic, detail } as const;
    try {
      const entry = await this.#options.store.append(body, { term: this.#options.term });
      this.#own.add(entry.seq);
    } catch (thrown) {
      if (thrown instanceof BallastError && thrown.code === "STORE_FENCED") this.#stopped = thrown.message;
      throw thrown;
    }
    this.#fold({ body });
  }

  async #snapshot(): Promise<void> {
    this.#sinceSnapshot = 0;
    await this.#note(TICKET_TOPIC.snapshot, null, { ledger: this.#ledger, throughSeq: this.#throughSeq });
  }

  #failed(what: string, thrown: unknown, working?: Working): void {
    const error = BallastError.from(thrown, "TICKET_SYSTEM_DOWN");
    this.#lastError = { code: error.code, message: error.message, atMs: this.#options.wallMs() };
    if (DOWN.has(error.code)) this.#reachable = false;
    // The same failure once, however often it is tried.
    if (working?.warned === error.message) return;
    if (working !== undefined) working.warned = error.message;
    this.#options.log?.warn({ code: error.code }, `${what}: ${error.message}`);
  }
}

function rank({ type }: TicketLife): number {
  return type === "emergency" ? 0 : type === "normal" ? 1 : 2;
}

/** Change control has it already, by another way or from before a restart: that is well. */
async function told(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (thrown) {
    if (!(thrown instanceof BallastError && thrown.code === "CHANGE_NOT_FOUND")) throw thrown;
  }
}
