import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { presentCheckpoint } from "../checkpoint/store.ts";
import type { RiskView } from "./risk-desk.ts";
import { Stand } from "./serve.fixture.ts";

const COMMITTED = resolve("models/committed/risk");
const CHANGES = 60;
const DAY_MS = 86_400_000;
const FIRST_MS = Date.parse("2026-03-06T13:00:00Z");
/** pay-app-a: the CI of a target. */
const CI = "2f3b689356862e21e8752c84f4889aa8";

// biome-ignore lint/suspicious/noExplicitAny: rows of an export
type Row = any;

const time = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

/** Eight changes a day on one CI; every second is an emergency at high risk, and those go wrong. */
function changesOf(base: Row, closed: boolean): Row[] {
  return Array.from({ length: CHANGES }, (_, i) => {
    const startMs = FIRST_MS + (i * DAY_MS) / 8;
    const risky = i % 2 === 0;
    return {
      ...base,
      sys_id: i.toString(16).padStart(32, "c"),
      number: `CHG99${i}`,
      type: risky ? "emergency" : "standard",
      risk: risky ? "2" : "4",
      impact: risky ? "1" : "3",
      start_date: time(startMs),
      end_date: time(startMs + 3_600_000),
      cmdb_ci: { value: CI },
      ...(closed ? { state: "3", close_code: risky ? "unsuccessful" : "successful" } : {}),
    };
  });
}

function incidentsOf(base: Row, changes: readonly Row[]): Row[] {
  return changes
    .filter(({ type }) => type === "emergency")
    .map((change, i) => ({
      ...base,
      sys_id: i.toString(16).padStart(32, "d"),
      number: `INC99${i}`,
      state: "7",
      priority: "4",
      opened_at: change.start_date,
      resolved_at: change.end_date,
      cmdb_ci: { value: CI },
      caused_by: { value: change.sys_id },
    }));
}

/**
 * A server whose risk model is missing, on a planning clock of over a day a second: changes that stand in the calendar begin, end, and are closed in a
 * newer export.
 */
describe("the life of a change-risk model", () => {
  let folder: string;
  let stand: Stand;
  let template: { change: Row; incident: Row; changes: Row[]; incidents: Row[] };

  const write = (table: string, rows: readonly Row[]) =>
    writeFile(join(folder, `${table}.json`), JSON.stringify({ result: rows }));

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ballast-risk-life-"));
    await cp("demo/estate", folder, { recursive: true });
    const rowsOf = async (table: string): Promise<Row[]> =>
      JSON.parse(await readFile(join(folder, `${table}.json`), "utf8")).result;
    const [changes, incidents] = await Promise.all([rowsOf("change_request"), rowsOf("incident")]);
    template = { change: changes.at(-1), incident: incidents.at(-1), changes, incidents };
    await write("change_request", [...changes, ...changesOf(template.change, false)]);
    stand = await Stand.start({
      rate: 100_000,
      edit: (yaml) => {
        yaml.estate.servicenow = folder;
        yaml.riskModel = join(folder, "none");
        delete yaml.model;
        delete yaml.history;
        yaml.envoy.admin = ["http://127.0.0.1:1"];
        yaml.policy.changeRemaining = "60%";
        yaml.forecast = { outcomes: "1s", promotion: { minChanges: 20, margin: "1%" } };
      },
    });
  });
  after(async () => {
    await stand?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const view = async (): Promise<RiskView> => (await stand.call("GET", "/v1/risk-model")).body as unknown as RiskView;
  const post = (action: string, more: object = {}) =>
    stand.call("POST", `/v1/risk-model/${action}`, { author: "alice", reason: "CHG7", ...more });
  const untilView = async (what: string, check: (now: RiskView) => boolean): Promise<RiskView> => {
    for (let tries = 0; tries < 600; tries++) {
      const now = await view();
      if (check(now)) return now;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never came: ${what}: ${JSON.stringify(await view())}`);
  };

  test("a candidate answers beside what steers; what both say of changes to come waits for their end, over a restart", async () => {
    assert.equal((await view()).active.model, "refused");
    assert.equal((await post("promote")).body.code, "MODEL_NO_CANDIDATE");
    assert.equal((await post("shadow", { folder: COMMITTED })).status, 200);
    assert.match(String((await post("promote")).body.message), /0 changes and targets are scored, 20 are needed/);
    const waiting = await untilView("forecasts that wait", ({ active }) => active.open >= 20);
    assert.equal(waiting.comparison?.cases, 0);
    await stand.restart();
    assert.ok((await view()).active.open >= 20);
    assert.equal((await stand.status()).risk?.candidate, waiting.candidate?.sha256);
  });

  test("when the changes are closed in a newer export both are scored, with base rate and rule beside them", async () => {
    const changes = changesOf(template.change, true);
    await write("incident", [...template.incidents, ...incidentsOf(template.incident, changes)]);
    await write("change_request", [...template.changes, ...changes]);
    const scored = await untilView("scored changes", ({ comparison }) => (comparison?.cases ?? 0) >= 20);
    const { active, candidate, rule, baseRate, degraded, unsuccessful, cases } = scored.comparison!;
    assert.ok(degraded > 0 && degraded < cases && unsuccessful === degraded, JSON.stringify(scored.comparison));
    assert.deepEqual(active, rule, "without a model the rule steers");
    assert.ok(candidate.brier! < baseRate.brier!, JSON.stringify(scored.comparison));
    const metrics = String((await stand.call("GET", "/metrics")).body.text);
    assert.match(metrics, /^ballast_risk_shadow_brier\{forecaster="base_rate"\} 0\.\d+$/m);
    assert.match(metrics, /^ballast_risk_drift\{verdict="off"\} 1$/m);
  });

  test("promotion waits for somebody else, is recorded with its Brier scores, and the model answers from then on", async () => {
    const ready = await untilView(
      "a candidate that may be proposed",
      ({ comparison }) => comparison?.missing.length === 0,
    );
    const made = await post("promote");
    assert.equal(made.body.state, "validated", JSON.stringify(made.body));
    const own = await stand.call("POST", `/v1/changes/${made.body.epoch}/approve`, { by: "alice" });
    assert.equal(own.body.code, "SELF_APPROVAL");
    const approved = await stand.call("POST", `/v1/changes/${made.body.epoch}/approve`, { by: "bob" });
    assert.equal(approved.body.state, "active", JSON.stringify(approved.body));
    const now = await untilView("the promoted model", ({ active }) => active.model === "ready");
    assert.deepEqual([now.active.sha256, now.candidate], [ready.candidate!.sha256, null]);
    const store = SqliteStore.open({ path: stand.storePath });
    const { record } = (await presentCheckpoint(store, approved.body.epoch as number))!;
    await store.close();
    const { riskEvidence, to } = record.modelChange!;
    assert.equal(to?.kind, "change-risk");
    assert.ok(riskEvidence!.cases >= 20 && riskEvidence!.brier.candidate < riskEvidence!.brier.active);
    assert.equal((await stand.call("GET", "/v1/model")).body.champion, null, "the model of demand is another matter");
    await stand.restart();
    assert.equal((await view()).active.sha256, ready.candidate!.sha256);
  });

  test("the return is at once and owes its approval", async () => {
    const back = await post("rollback");
    assert.equal(back.status, 200, JSON.stringify(back.body));
    await untilView("the rule again", ({ active, champion }) => active.model === "refused" && champion === null);
    assert.ok((await stand.status()).changes.owed.some(({ epoch }) => epoch === back.body.epoch));
  });
});
