import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { parse, stringify } from "yaml";
import { type FittedGroup, fitGroups, groupNamed } from "../features/groups/grouped-inputs.ts";
import type { World } from "../features/groups/world.ts";
import { Covariates } from "./covariates.ts";
import { loadInputs } from "./inputs.ts";

const NOW_MS = Date.UTC(2026, 1, 20, 8);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const scratch = await mkdtemp(join(tmpdir(), "ballast-covariates-"));
const opened: Covariates[] = [];
after(async () => {
  for (const one of opened) await one.stop();
  await rm(scratch, { recursive: true, force: true });
});
const SIGNALS =
  "signal,service,start,end,value,known_at\npromo,,2026-02-01T00:00:00Z,2026-02-02T00:00:00Z,1,2026-01-01T00:00:00Z\n";
let made = 0;

/** What a server of its own folder is given, on a calendar that stands where the test puts it. */
async function server(forecast: Record<string, unknown> = {}, estate: Record<string, unknown> = {}) {
  const dir = join(scratch, String(made++));
  await cp("demo/estate", join(dir, "estate"), { recursive: true });
  const at = (name: string): string => join(dir, name);
  await writeFile(at("holidays.csv"), "date,name\n2026-02-23,fair\n");
  await writeFile(at("signals.csv"), SIGNALS);
  const yaml = parse(await readFile("demo/ballast.yaml", "utf8"));
  yaml.estate = { servicenow: at("estate"), ...estate };
  yaml.forecast = { holidays: at("holidays.csv"), signals: at("signals.csv"), ...forecast };
  await writeFile(at("ballast.yaml"), stringify(yaml));
  const inputs = await loadInputs(at("ballast.yaml"), () => NOW_MS);
  const clock = { now: NOW_MS, nowMs: () => clock.now, monotonicMs: () => performance.now() };
  const log = { warn: () => undefined };
  const covariates = await Covariates.open({ inputs, clock, timeOf: (ms) => ms, log });
  opened.push(covariates);
  const ask = (groups: readonly FittedGroup[], originMs = clock.now) => {
    const { history } = inputs;
    return covariates.at({ groups, history, services: history.services, originMs, season: 288, horizon: 12 });
  };
  return { at, clock, covariates, ask };
}

const trainedOn: World = {
  stepMs: 300_000,
  timeZone: "Europe/Berlin",
  holidays: [],
  signals: [{ signal: "promo", service: null, startMs: 0, endMs: 1, value: 1, knownAtMs: 0 }],
};
const fitted = (...names: string[]) =>
  fitGroups(
    names.map((name) => groupNamed(name)!),
    trainedOn,
    NOW_MS,
  );
const reasonOf = async (answer: ReturnType<Awaited<ReturnType<typeof server>>["ask"]>) => {
  const said = await answer;
  assert.ok("reason" in said, "it was answered");
  return `${said.reason.code}: ${said.reason.text}`;
};
const worldOf = async (answer: ReturnType<Awaited<ReturnType<typeof server>>["ask"]>, service: string) => {
  const said = await answer;
  assert.ok("of" in said, JSON.stringify(said));
  return said.of([service]);
};

describe("what a server has for feature groups", () => {
  test("are the changes of the export as it is now: a ticket that was filed while it ran is in the next forecast, a broken export is not", async () => {
    const { at, ask, covariates } = await server();
    const groups = fitted("change");
    const shares = async () => (await worldOf(ask(groups), "payments")).windows!.get("payments")!.length;
    const before = await shares();
    const file = at("estate/change_request.json");
    const tickets = JSON.parse(await readFile(file, "utf8")) as { result: Record<string, unknown>[] };
    const known = tickets.result.find(({ number }) => JSON.stringify(number).includes("CHG0031028"))!;
    const [start, end, created] = [1, 3, -2].map((hours) => stamp(NOW_MS + hours * HOUR_MS));
    const filed = {
      ...known,
      sys_id: "f".repeat(32),
      number: "CHG0099999",
      start_date: start,
      end_date: end,
      sys_created_on: created,
    };
    await writeFile(file, JSON.stringify({ result: [...tickets.result, filed] }));
    const rows = JSON.parse(await readFile(at("estate/task_ci.json"), "utf8")) as { result: Record<string, unknown>[] };
    const row = rows.result.find(
      (one) => JSON.stringify(one).includes("CHG0031028") || JSON.stringify(one).includes(String(known.sys_id)),
    );
    if (row !== undefined) {
      const text = JSON.stringify(row)
        .replaceAll("CHG0031028", "CHG0099999")
        .replaceAll(String(known.sys_id), "f".repeat(32));
      await writeFile(
        at("estate/task_ci.json"),
        JSON.stringify({ result: [...rows.result, { ...JSON.parse(text), sys_id: "e".repeat(32) }] }),
      );
    }
    assert.equal(await shares(), before + 1);
    await writeFile(file, '{"result": [');
    assert.equal(await shares(), before + 1, "what was read before is used");
    assert.match(
      covariates.alarms()[0]!,
      /^COVARIATES_KEPT: estate\.servicenow: ESTATE_UNREADABLE.*change_request\.json/,
    );
  });

  test("are stale when a list of holidays has ended, the tickets are older than estate.maxAge, or signals than they may be", async () => {
    const { at, ask, clock, covariates } = await server({ signalsMaxAge: "1h" }, { maxAge: "2d" });
    const [holidays, tickets, dated] = [fitted("calendar"), fitted("change"), fitted("signals")];
    for (const groups of [holidays, tickets, dated]) assert.ok("of" in (await ask(groups)));
    clock.now += 3 * DAY_MS;
    assert.match(
      await reasonOf(ask(tickets)),
      /^COVARIATES_STALE: changes and incidents were read at 2026-02-20T08:00:00Z/,
    );
    assert.ok("of" in (await ask(holidays)), "the fair is today");
    clock.now += 3 * DAY_MS;
    assert.match(await reasonOf(ask(holidays)), /^COVARIATES_STALE: the list of holidays ends with 2026-02-23/);
    const longAgo = new Date(Date.now() - 2 * HOUR_MS);
    await writeFile(at("signals.csv"), `${SIGNALS}\n`);
    await utimes(at("signals.csv"), longAgo, longAgo);
    assert.match(
      await reasonOf(ask(dated)),
      /^COVARIATES_STALE: the file of signals was written 120 min ago, `forecast.signalsMaxAge` allows 60/,
    );
    assert.deepEqual(
      covariates.view().map(({ source, state }) => `${source} ${state}`),
      ["holidays stale", "signals stale", "tickets stale"],
    );
    assert.equal(covariates.alarms().length, 2, "no model has asked for tickets for three days");
  });

  test("refuse a model of another zone, and one with a signal that the file does not have, by the field to mend", async () => {
    const { at, ask, covariates } = await server({ timeZone: "Europe/London" });
    assert.match(
      covariates.lacks(fitted("calendar"))!,
      /trained in Europe\/Berlin, `forecast\.timeZone` of ballast\.yaml says Europe\/London/,
    );
    assert.equal(covariates.lacks(fitted("signals", "coupling")), null);
    await writeFile(at("signals.csv"), SIGNALS.replace("promo", "other"));
    assert.match(await reasonOf(ask(fitted("signals"))), /^COVARIATES_MISSING: .*signals\.csv .*has no signal promo/);
    assert.match(covariates.lacks(fitted("signals"))!, /has no signal promo/);
  });

  test("start without a file that cannot be read: the model is loaded, and not asked until it is there", async () => {
    const { ask, covariates, at } = await server({ holidays: join(scratch, "later.csv") });
    const groups = fitted("calendar");
    assert.equal(covariates.lacks(groups), null);
    assert.match(await reasonOf(ask(groups)), /^COVARIATES_MISSING: no holidays: COVARIATE_INVALID: .*later\.csv/);
    await cp(at("holidays.csv"), join(scratch, "later.csv"));
    assert.deepEqual(
      (await worldOf(ask(groups), "quotes")).holidays?.map(({ date }) => date),
      ["2026-02-23"],
    );
  });
});

function stamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}
