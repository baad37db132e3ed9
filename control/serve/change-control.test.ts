import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { auditVerify } from "../checkpoint/audit.ts";
import type { Checkpoint } from "../checkpoint/moves.ts";
import type { Approval } from "../checkpoint/record.ts";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { presentCheckpoint } from "../checkpoint/store.ts";
import { Stand, share } from "./serve.fixture.ts";

const payments = (a: number) => ({
  name: "payments",
  weightsPpm: { "payments-site-a": a, "payments-site-b": 1_000_000 - a },
});
const ledger = (a: number) => ({ name: "ledger", weightsPpm: { "ledger-site-a": a, "ledger-site-b": 1_000_000 - a } });
const steady = (view: { epoch: number }) => view.epoch > 0;

async function checkpointOf(stand: Stand, epoch: number): Promise<Checkpoint> {
  const store = SqliteStore.open({ path: stand.storePath });
  try {
    const found = await presentCheckpoint(store, epoch);
    assert.ok(found !== null, `epoch ${epoch}`);
    return found;
  } finally {
    await store.close();
  }
}

const approvalOf = (checkpoint: Checkpoint): Approval =>
  (checkpoint.moves.find(({ move }) => move === "approve")!.detail as { approval: Approval }).approval;

describe("changes of persons", () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start({
      edit: (yaml) => {
        yaml.changeControl = { standard: { maxStep: "15%" }, normal: { maxPending: 2, expireAfter: "1h" } };
      },
    });
    await stand.until("first weights", steady);
  });
  after(() => stand?.stop());

  test("inside the bounds a change is approved by rule, in force at once, and the planner leaves it alone", async () => {
    const diff = await stand.call("POST", "/v1/diff", { services: [payments(700_000)] });
    assert.equal(diff.body.changeType, "standard");
    const [service] = diff.body.services as { sessionsPpm: number; slotsMoved: number }[];
    assert.ok(Math.abs(service!.sessionsPpm - 100_000) < 1_000, "10 points move 10 % of the sessions");
    assert.ok(service!.slotsMoved >= 102 && service!.slotsMoved <= 103);

    const made = await stand.call("POST", "/v1/changes", {
      services: [payments(700_000)],
      author: "alice",
      reason: "CHG1",
    });
    assert.equal(made.status, 200, JSON.stringify(made.body));
    assert.equal(made.body.state, "active");
    const checkpoint = await checkpointOf(stand, made.body.epoch as number);
    assert.equal(checkpoint.record.changeType, "standard");
    assert.deepEqual(checkpoint.record.author, { kind: "person", name: "alice" });
    assert.equal(approvalOf(checkpoint).kind, "rule");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const view = await stand.status();
    assert.equal(share(view, "payments-site-a"), 700_000);
    assert.deepEqual(view.changes.pinned, [{ service: "payments", by: "alice", epoch: made.body.epoch }]);
  });

  test("outside the bounds it waits, its author cannot approve it, somebody else can", async () => {
    const body = { services: [ledger(900_000)], author: "alice", reason: "CHG2" };
    const made = await stand.call("POST", "/v1/changes", body);
    assert.equal(made.body.state, "validated");
    assert.deepEqual(
      (made.body.outside as { rule: string }[]).map(({ rule }) => rule),
      ["step_limit"],
    );
    const epoch = made.body.epoch as number;
    assert.equal(share(await stand.status(), "ledger-site-a"), 500_000, "nothing moved");

    assert.equal((await stand.call("POST", "/v1/changes", body)).body.code, "CHANGE_IN_FLIGHT");
    const own = await stand.call("POST", `/v1/changes/${epoch}/approve`, { by: " ALICE " });
    assert.equal(own.body.code, "SELF_APPROVAL");

    await stand.restart();
    await stand.until("the change still waits after a restart", (view) =>
      view.changes.pending.some((c) => c.epoch === epoch),
    );
    const done = await stand.call("POST", `/v1/changes/${epoch}/approve`, { by: "bob", reason: "seen" });
    assert.equal(done.body.state, "active", JSON.stringify(done.body));
    const view = await stand.status();
    assert.equal(share(view, "ledger-site-a"), 900_000);
    assert.deepEqual(view.changes.pending, []);
    const active = await checkpointOf(stand, done.body.epoch as number);
    assert.equal(active.record.changeType, "normal");
    assert.equal(active.record.change, epoch);
    assert.equal(active.record.author.name, "alice");
    const { kind, by, evidence } = approvalOf(active);
    assert.deepEqual({ kind, by: by.name, evidence }, { kind: "person", by: "bob", evidence: "seen" });
    const waited = await checkpointOf(stand, epoch);
    assert.deepEqual(
      waited.moves.map(({ move }) => move),
      ["validate", "approve", "abort"],
    );
  });

  test("a change that was proposed against other weights is refused at approval, never applied", async () => {
    const made = await stand.call("POST", "/v1/changes", {
      services: [payments(400_000)],
      author: "alice",
      reason: "CHG3",
    });
    assert.equal(made.body.state, "validated");
    const epoch = made.body.epoch as number;
    await stand.call("POST", "/v1/rollback", { epoch: 1, author: "carol", reason: "drill" });
    const late = await stand.call("POST", `/v1/changes/${epoch}/approve`, { by: "bob" });
    assert.equal(late.body.code, "CHANGE_STALE");
    assert.match(String(late.body.message), /payments-site-a had 700000 ppm .* has 600000/);
    assert.equal(share(await stand.status(), "payments-site-a"), 600_000);
    assert.equal((await checkpointOf(stand, epoch)).state, "refused");
    assert.equal(
      (await stand.call("POST", `/v1/changes/${epoch}/approve`, { by: "bob" })).body.code,
      "CHANGE_NOT_FOUND",
    );
  });

  test("the rollback owes an approval; not its author's; and is overdue after its time", async () => {
    const [owed] = (await stand.status()).changes.owed;
    assert.equal(owed!.trigger, "rollback");
    const path = `/v1/changes/${owed!.epoch}/approve`;
    assert.equal((await stand.call("POST", path, { by: "carol" })).body.code, "SELF_APPROVAL");
    stand.wallAheadMs = 25 * 3_600_000;
    const late = await stand.until("overdue", (view) => view.alarms.length > 0);
    assert.match(late.alarms[0]!, /APPROVAL_OVERDUE/);
    const metrics = String((await stand.call("GET", "/metrics")).body.text);
    assert.match(metrics, /^ballast_approvals_overdue 1$/m);
    assert.equal((await stand.call("POST", path, { by: "bob" })).body.state, "approved");
    assert.deepEqual((await stand.status()).changes.owed, []);
    stand.wallAheadMs = 0;
  });

  test("waiting changes are bounded, run out, and can be refused", async () => {
    await stand.call("POST", "/v1/resume", { author: "alice" });
    const propose = (service: object) =>
      stand.call("POST", "/v1/changes", { services: [service], author: "alice", reason: "CHG4" });
    const first = await propose(payments(300_000));
    const second = await propose(ledger(100_000));
    assert.equal(second.body.state, "validated");
    const full = await propose({ name: "quotes", weightsPpm: { "quotes-site-a": 1_000_000 } });
    assert.deepEqual([full.status, full.body.code], [429, "CHANGES_FULL"]);
    const refused = await stand.call("POST", `/v1/changes/${first.body.epoch}/refuse`, {
      by: "bob",
      reason: "not today",
    });
    assert.equal(refused.body.state, "refused");
    stand.wallAheadMs = 3_700_000;
    await stand.until("the other one ran out", (view) => view.changes.pending.length === 0);
    stand.wallAheadMs = 0;
    const expired = await checkpointOf(stand, second.body.epoch as number);
    assert.equal(expired.state, "refused");
    assert.equal((expired.moves.at(-1)!.detail as { by: { name: string } }).by.name, "expiry");
  });

  test("what is broken in itself is refused with its reason, whoever asks", async () => {
    const cases: [object, string][] = [
      [{ name: "payments", weightsPpm: { "payments-site-a": 900_000 } }, "CHANGE_INVALID"],
      [{ name: "payments", weightsPpm: { "payments-site-x": 1_000_000 } }, "CHANGE_INVALID"],
      [{ name: "nobody", weightsPpm: { a: 1_000_000 } }, "CHANGE_INVALID"],
      [{ name: "payments", weightsPpm: { "payments-site-a": 0.5 } }, "API_BAD_REQUEST"],
      [{ name: "payments", weightsPpm: { "payments-site-a": -1, "payments-site-b": 1_000_001 } }, "API_BAD_REQUEST"],
      [{ name: "payments", weightsPpm: {} }, "CHANGE_INVALID"],
      [{ name: "payments" }, "CHANGE_EMPTY"],
    ];
    const { epoch } = await stand.status();
    for (const [service, code] of cases) {
      const answer = await stand.call("POST", "/v1/changes", { services: [service], author: "alice", reason: "x" });
      assert.equal(answer.body.code, code, JSON.stringify(service));
    }
    assert.equal((await stand.status()).epoch, epoch);
  });

  test("the kill switch is on at once and owes its approval; off is a change that waits", async () => {
    const on = await stand.call("POST", "/v1/kill-switch", { on: true, author: "alice", reason: "drill" });
    assert.equal(on.body.changeType, "emergency", JSON.stringify(on.body));
    await stand.filter.until(
      () => stand.filter.mode === 3 || stand.filter.activeVersion.startsWith(`${on.body.epoch}-`),
    );
    const view = await stand.status();
    assert.equal(view.mode, "passthrough");
    assert.equal(view.held, true);
    assert.ok(view.alarms.some((alarm) => alarm.startsWith("PASSTHROUGH")));
    const off = await stand.call("POST", "/v1/kill-switch", { on: false, author: "alice", reason: "over" });
    assert.equal(off.body.state, "validated");
    const done = await stand.call("POST", `/v1/changes/${off.body.epoch}/approve`, { by: "bob" });
    assert.equal(done.body.state, "active", JSON.stringify(done.body));
    assert.equal((await stand.status()).mode, "steer");
  });

  test("afterwards the log of all this verifies from its first byte", () => {
    const report = auditVerify(stand.storePath);
    assert.deepEqual(report.faults, []);
    assert.equal(report.ok, true);
  });
});

describe("freezes", () => {
  test("in a freeze a drain for an approved window passes, and nothing else moves", async () => {
    const stand = await Stand.start({
      rate: 3000,
      edit: (yaml) => {
        yaml.changeControl = { freezes: { march: { from: "2026-03-01T00:00", to: "2026-03-20T00:00" } } };
      },
    });
    try {
      const drained = await stand.until(
        "payments off site-b",
        (view) => view.services.length > 0 && share(view, "payments-site-b") === 0,
      );
      assert.ok(
        Date.parse(drained.now) < Date.parse("2026-03-02T09:00:00Z"),
        `before the window opens: ${drained.now}`,
      );
      assert.deepEqual(
        drained.changes.freezes.map(({ id }) => id),
        ["policy:march"],
      );
      const record = (await checkpointOf(stand, drained.epoch)).record;
      assert.notEqual(record.changeType, "emergency", "in steps, not in a hurry");
      const back = await stand.until(
        "the window is over",
        (view) => Date.parse(view.now) > Date.parse("2026-03-02T13:00:00Z"),
      );
      assert.equal(share(back, "payments-site-b"), 0, "the return waits for the end of the freeze");
      assert.ok(back.changes.heldBack.some(({ service, kind }) => service === "payments" && kind === "freeze"));
      await stand.call("POST", "/v1/break-glass", {
        services: ["payments"],
        minutes: 1_000,
        author: "alice",
        reason: "CHG9",
      });
      await stand.until("the glass is broken and it returns", (view) => share(view, "payments-site-b") > 0);
    } finally {
      await stand.stop();
    }
  });

  test("a freeze of an operator refuses changes until it is lifted; a break-glass is recorded and owes an approval", async () => {
    const stand = await Stand.start();
    try {
      const { now } = await stand.until("first weights", steady);
      const to = new Date(Date.parse(now) + 3_600_000).toISOString();
      const freeze = await stand.call("POST", "/v1/freezes", {
        name: "quarter end",
        to,
        author: "carol",
        reason: "books",
      });
      const change = { services: [payments(650_000)], author: "alice", reason: "CHG5" };
      const refused = await stand.call("POST", "/v1/changes", change);
      assert.equal(refused.body.code, "CHANGE_FROZEN");
      assert.match(String(refused.body.message), /quarter end/);
      assert.equal(
        (await stand.call("POST", "/v1/freezes/policy%3Ax/lift", { author: "a", reason: "b" })).body.code,
        "FREEZE_NOT_FOUND",
      );

      await stand.restart();
      assert.equal(
        (await stand.call("POST", "/v1/changes", change)).body.code,
        "CHANGE_FROZEN",
        "also after a restart",
      );
      const broken = await stand.call("POST", "/v1/changes", { ...change, breakGlass: true });
      assert.equal(broken.body.changeType, "emergency");
      const { record, moves } = await checkpointOf(stand, broken.body.epoch as number);
      const verdicts = (moves[0]!.detail as { verdicts: { rule: string; ok: boolean; text: string }[] }).verdicts;
      const verdict = verdicts.find(({ rule }) => rule === "freeze")!;
      assert.equal(verdict.ok, false);
      assert.match(verdict.text, /quarter end.*glass was broken by alice: CHG5/);
      assert.equal(record.services.find(({ name }) => name === "payments")!.pinned?.by, "alice");
      assert.equal((await stand.status()).changes.owed[0]!.epoch, broken.body.epoch);

      await stand.call("POST", `/v1/freezes/${encodeURIComponent(String(freeze.body.id))}/lift`, {
        author: "carol",
        reason: "done",
      });
      const lifted = await stand.call("POST", "/v1/changes", { ...change, services: [payments(700_000)] });
      assert.equal(lifted.body.changeType, "standard");
    } finally {
      await stand.stop();
    }
  });

  test("a switch from observe to steer asks for approval and says beforehand how many sessions it reshuffles", async () => {
    const observed = { services: { ledger: { mode: "observe" } } };
    const stand = await Stand.start({ edit: (yaml) => Object.assign(yaml.services.ledger, observed.services.ledger) });
    try {
      await stand.until("first weights", steady);
      const diff = await stand.call("POST", "/v1/diff", { services: [{ name: "ledger", mode: "steer" }] });
      const [service] = diff.body.services as { sessionsPpm: number; sessionsText: string }[];
      assert.equal(service!.sessionsPpm, 500_000, "two even targets agree by chance for every second session");
      assert.match(service!.sessionsText, /steering begins/);
      const made = await stand.call("POST", "/v1/changes", {
        services: [{ name: "ledger", mode: "steer" }],
        author: "alice",
        reason: "go",
      });
      assert.equal(made.body.state, "validated");
      const done = await stand.call("POST", `/v1/changes/${made.body.epoch}/approve`, { by: "bob" });
      assert.equal(done.body.state, "active");
      assert.equal((await stand.status()).services.find(({ name }) => name === "ledger")!.mode, "steer");
    } finally {
      await stand.stop();
    }
  });
});
