import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { auditVerify } from "../checkpoint/audit.ts";
import type { Approval } from "../checkpoint/record.ts";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { presentCheckpoint } from "../checkpoint/store.ts";
import type { ModelView } from "./model-desk.ts";
import { Stand } from "./serve.fixture.ts";

const COMMITTED = resolve("models/committed/demand");
const RULES = { minWindows: 3, margin: "1%" };

/**
 * A server without a model, on a planning clock of an hour a second that runs through the demo's load history: what a forecast spoke of has
 * happened seconds later.
 */
describe("the life of a model", () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start({
      rate: 3_600,
      edit: (yaml) => {
        yaml.clock.start = "2026-02-23T08:00:00Z";
        delete yaml.model;
        // Nothing measures any load: the history that was read is what happens.
        yaml.envoy.admin = ["http://127.0.0.1:1"];
        yaml.forecast = { drift: "warn", promotion: RULES };
      },
    });
    await stand.until("first weights", ({ epoch }) => epoch > 0);
  });
  after(() => stand?.stop());

  const view = async (): Promise<ModelView> => (await stand.call("GET", "/v1/model")).body as unknown as ModelView;
  const post = (action: string, more: object = {}) =>
    stand.call("POST", `/v1/model/${action}`, { author: "alice", reason: "CHG7", ...more });
  const untilView = async (what: string, check: (now: ModelView) => boolean): Promise<ModelView> => {
    for (let tries = 0; tries < 600; tries++) {
      const now = await view();
      if (check(now)) return now;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never came: ${what}: ${JSON.stringify(await view())}`);
  };
  const sources = async () => new Set((await stand.status()).services.map(({ forecast }) => forecast?.source));

  test("without a candidate there is nothing to promote, to retire or to return to", async () => {
    const { active, candidate, champion } = await view();
    assert.deepEqual([active.model, candidate, champion], ["refused", null, null]);
    assert.equal((await post("promote")).body.code, "MODEL_NO_CANDIDATE");
    assert.equal((await post("retire")).body.code, "MODEL_NO_CANDIDATE");
    assert.equal((await post("rollback")).body.code, "MODEL_NO_FORMER");
  });

  test("a folder whose model may not answer is no candidate, and the reason is told", async () => {
    assert.match(String((await post("shadow", { folder: join(stand.dir, "nothing") })).body.message), /MODEL_MISSING/);
    const folder = join(stand.dir, "spoiled");
    await mkdir(folder);
    await writeFile(join(folder, "manifest.json"), "{");
    const refused = await post("shadow", { folder });
    assert.equal(refused.body.code, "MODEL_REFUSED");
    assert.match(String(refused.body.message), /MANIFEST_INVALID/);
    assert.equal((await view()).candidate, null);
  });

  test("a candidate forecasts beside what steers, is scored as time goes by, and keeps its scores over a restart on another disk", async () => {
    assert.equal((await post("shadow", { folder: COMMITTED })).status, 200);
    const early = await post("promote");
    assert.equal(early.body.code, "MODEL_NOT_READY");
    assert.match(String(early.body.message), /windows are scored, 3 are needed/);
    const scored = await untilView("a scored window", ({ comparison }) => (comparison?.windows ?? 0) >= 1);
    assert.equal(scored.champion, null);
    assert.ok(!(await sources()).has("model"), "it steers nothing");
    await stand.server.stop();
    await rm(`${stand.storePath}.models`, { recursive: true });
    await stand.restart();
    const { comparison, candidate } = await view();
    assert.equal(candidate?.folder, COMMITTED);
    assert.ok(comparison !== null && comparison.windows >= scored.comparison!.windows);
    const metrics = String((await stand.call("GET", "/metrics")).body.text);
    const scores = metrics.split("\n").filter((line) => line.startsWith("ballast_model_shadow_"));
    assert.match(scores.join("\n"), /^ballast_model_shadow_wql\{forecaster="candidate"\} 0\.\d+$/m);
  });

  test("promotion waits for somebody else, also while another server takes over, is recorded with hash and scores, and the model forecasts from then on", async () => {
    const ready = await untilView("a ready candidate", ({ comparison }) => comparison?.missing.length === 0);
    const made = await post("promote");
    assert.equal(made.body.state, "validated", JSON.stringify(made.body));
    const epoch = made.body.epoch as number;
    const [pending] = (await stand.status()).changes.pending;
    assert.ok((pending?.modelChange?.evidence?.windows ?? 0) >= 3);
    assert.equal((await post("promote")).body.code, "CHANGE_IN_FLIGHT");
    const own = await stand.call("POST", `/v1/changes/${epoch}/approve`, { by: "Alice" });
    assert.equal(own.body.code, "SELF_APPROVAL");
    // Meanwhile another server takes over, which has but the store.
    await stand.server.stop();
    await rm(`${stand.storePath}.models`, { recursive: true });
    await stand.restart();
    const approved = await stand.call("POST", `/v1/changes/${epoch}/approve`, { by: "bob", reason: "looked at it" });
    assert.equal(approved.body.state, "active", JSON.stringify(approved.body));
    assert.equal(approved.body.changeType, "normal");
    const sha256 = ready.candidate!.sha256;
    const after = await untilView("the promoted model", ({ active }) => active.model === "ready");
    assert.equal(after.active.sha256, sha256);
    assert.deepEqual([after.champion?.sha256, after.candidate, after.comparison], [sha256, null, null]);
    await stand.until("forecasts of the model", ({ services }) =>
      services.every(({ forecast }) => forecast?.source === "model"),
    );

    const store = SqliteStore.open({ path: stand.storePath });
    const checkpoint = await presentCheckpoint(store, approved.body.epoch as number);
    await store.close();
    const { record, moves } = checkpoint!;
    const { from, to, kind, evidence } = record.modelChange!;
    assert.deepEqual([from, to?.sha256, kind], [null, sha256, "promote"]);
    assert.ok(evidence!.scores.candidate.wql < 0.99 * evidence!.scores.active.wql);
    assert.deepEqual([record.changeType, record.author.name, record.trigger], ["normal", "alice", "model"]);
    const { approval } = moves.find(({ move }) => move === "approve")!.detail as { approval: Approval };
    assert.deepEqual([approval.kind, approval.by.name], ["person", "bob"]);
  });

  test("a server that starts again goes on with the promoted model, whatever ballast.yaml names", async () => {
    await stand.restart();
    const { active, champion } = await view();
    assert.equal(active.model, "ready");
    assert.equal(active.sha256, champion?.sha256);
  });

  test("a server that has only the store, as one on another machine, fetches the promoted model and forecasts with it", async () => {
    const { champion } = await view();
    await stand.server.stop();
    const folder = `${stand.storePath}.models`;
    await rm(folder, { recursive: true });
    await stand.restart();
    const { active, alarms } = await view();
    assert.deepEqual([active.model, active.sha256, alarms], ["ready", champion?.sha256, []]);
    for (const name of ["manifest.json", "demand.onnx"])
      assert.deepEqual(
        await readFile(join(folder, champion!.sha256.slice(0, 32), name)),
        await readFile(join(COMMITTED, name)),
      );
  });

  test("the return is at once, owes its approval, and the log holds all of it", async () => {
    const back = await post("rollback");
    assert.equal(back.status, 200, JSON.stringify(back.body));
    await untilView("no model", ({ active, champion }) => active.model === "refused" && champion === null);
    const { changes, held } = await stand.status();
    assert.equal(held, false, "the planner goes on");
    assert.ok(changes.owed.some(({ epoch, trigger }) => epoch === back.body.epoch && trigger === "model_rollback"));
    const { faults, entries } = await auditVerify(stand.storePath);
    assert.deepEqual(faults, []);
    assert.ok(entries > 10);
  });
});
