import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { at, MIN, policy, service, window } from "../plan/plan.fixture.ts";
import { planFleet } from "../plan/plan-fleet.ts";
import type { TargetTelemetry } from "../telemetry/telemetry.ts";
import { CapacityBook, type TargetMemory } from "./capacity-book.ts";
import { decodeMemory, encodeMemory } from "./capacity-memory.ts";

const base = { "pay-a": 500_000, "pay-b": 500_000 };
const estate = service("pay", { "pay-a": {}, "pay-b": { windows: [window("CHG1", at("12:00"), at("14:00"))] } });
const services = new Map([["pay", { estate, policy: policy(base, { hysteresisPpm: 0, stepLimitPpm: 1_000_000 }) }]]);
const book = (of = services) =>
  new CapacityBook(of, () => ({ latencyMs: 200, errorsPpm: 10_000, quantile: 0.99, readingMs: 10_000 }));

function seen(target: string, rps: number, p99Ms: number, more: Partial<TargetTelemetry> = {}): TargetTelemetry {
  return {
    target,
    healthyHosts: 2,
    totalHosts: 2,
    rps,
    intervalS: 1,
    activeRequests: 0,
    p50Ms: 1,
    p99Ms,
    errorRatio: 0,
    ...more,
  };
}
/** Half an hour of seconds over all loads up to 480; p99 is 200 ms at `capacity`. */
function learn(
  to: CapacityBook,
  target: string,
  capacity: number,
  startMs = at("06:00"),
  more: Partial<TargetTelemetry> = {},
): void {
  for (let s = 0; s < 3_600; s++) {
    const rps = 100 + 380 * Math.abs(Math.sin(s / 400));
    to.observe(
      { targets: new Map([[target, seen(target, rps, rps > capacity ? 400 : 90, more)]]) },
      startMs + s * 1_000,
    );
  }
}

test("a slow target's learnt capacity takes the place of the estate's in the plan, and the plan says so", () => {
  const learnt = book();
  learn(learnt, "pay-a", 240);
  const applied = learnt.apply(services, at("07:00"));
  const [a, b] = applied.get("pay")!.estate.targets;
  assert.ok(Math.abs(a!.capacityRps / 240 - 1) < 0.06, `${a!.capacityRps}`);
  assert.match(a!.capacitySource, /^learnt: 2\d\d rps at the objective \(95 % .* the estate says 480 rps$/);
  assert.equal(b, estate.targets[1], "nothing was seen of it");
  const plan = (of: typeof services | typeof applied) =>
    planFleet({
      nowMs: at("07:00"),
      monotonicMs: 0,
      services: of,
      forecasts: new Map(),
      telemetry: {
        atMonotonicMs: 0,
        unreachable: [],
        targets: new Map(["pay-a", "pay-b"].map((t) => [t, seen(t, 200, 90)])),
      },
      last: null,
    }).services.get("pay")!;
  assert.equal(plan(services).targets[0]!.weightPpm, 500_000);
  const cause = plan(applied).targets[0]!.causes.find(({ kind }) => kind === "capacity")!;
  assert.ok(cause.effectPpm < -60_000, `${cause.effectPpm}`);
  assert.match(cause.text, /learnt capacity of app-pay-a/);
});

test("readings of an open window, of a target with a host missing, and repeated ones teach nothing", () => {
  for (const [target, start, more] of [
    ["pay-b", at("12:30"), {}],
    ["pay-a", at("06:00"), { healthyHosts: 1 }],
    ["pay-a", at("06:00"), { intervalS: 0 }],
    ["pay-a", at("06:00"), { rps: null }],
    ["pay-z", at("06:00"), {}],
  ] as const) {
    const learnt = book();
    learn(learnt, target, 240, start, more);
    assert.deepEqual(learnt.apply(services, at("13:30")).get("pay")!.estate.targets, estate.targets);
  }
});

test("what is learnt stays between a quarter and four times the estate's figure, and says that it is held", () => {
  const learnt = book();
  learn(learnt, "pay-a", 20);
  const { rps, text } = learnt.used(estate.targets[0]!, at("07:00"));
  assert.equal(rps, 120);
  assert.match(text, /held at 0\.25 times the estate's/);
});

test("at least raises a prior that is too low and never lowers one that is not", () => {
  const learnt = book();
  learn(learnt, "pay-a", 1_000);
  const used = learnt.used(estate.targets[0]!, at("07:00"));
  assert.deepEqual([used.source, used.rps], ["estate", 480]);
  assert.match(used.text, /^40 cores at 12 rps; at least 4[67]\d rps/);
  const low = { ...estate.targets[0]!, capacityRps: 200 };
  const raised = learnt.used(low, at("07:00"));
  assert.equal(raised.source, "learnt");
  assert.ok(raised.rps > 450);
});

test("a service without a promised latency is handed through untouched", () => {
  const open = new CapacityBook(services, () => ({
    latencyMs: null,
    errorsPpm: 10_000,
    quantile: 0.99,
    readingMs: 10_000,
  }));
  learn(open, "pay-a", 240);
  assert.equal(open.apply(services, at("07:00")), services);
  const none = new CapacityBook(services, () => undefined);
  learn(none, "pay-a", 240);
  assert.equal(none.apply(services, at("07:00") + MIN), services);
});

/** As a store would hand it to a successor. */
function passedOn(from: CapacityBook, maxBytes = 1 << 19): TargetMemory[] {
  const text = encodeMemory({ service: "pay", atMs: at("07:00"), targets: from.memory("pay") }, maxBytes);
  assert.ok(text.length <= maxBytes);
  return decodeMemory(text, "pay")!.targets;
}

test("a successor goes on with what was kept, says how old it is, and learns on from there", () => {
  const learnt = book();
  learn(learnt, "pay-a", 240);
  assert.equal(learnt.readings("pay"), 360);
  const successor = book();
  assert.deepEqual(successor.recall(passedOn(learnt), at("10:00")), { restored: ["pay-a"], forgotten: [] });
  const target = estate.targets[0]!;
  const [before, after] = [learnt.used(target, at("10:00")), successor.used(target, at("10:00"))];
  assert.ok(Math.abs(after.rps / before.rps - 1) < 1e-3, `${after.rps} after ${before.rps}`);
  assert.equal(after.source, "learnt");
  assert.ok(Math.abs(after.learntAgeMs! - 3 * 3_600_000) < 20_000, `${after.learntAgeMs}`);
  assert.match(after.text, /min of load, the last 3 h ago|min of load, the last 180 min ago/);
  learn(successor, "pay-a", 150, at("10:00"));
  assert.ok(Math.abs(successor.used(target, at("11:00")).rps / 150 - 1) < 0.06, "a slower target is known as such");
});

test("a target whose size or promise changed begins anew, and the reason is told", () => {
  const learnt = book();
  learn(learnt, "pay-a", 240);
  const kept = passedOn(learnt);
  const resized = { ...estate, targets: estate.targets.map((one) => ({ ...one, capacityRps: 960 })) };
  const bigger = book(new Map([["pay", { ...services.get("pay")!, estate: resized }]]));
  const told = bigger.recall(kept, at("07:00"));
  assert.deepEqual(told.restored, []);
  assert.match(told.forgotten[0]!.why, /its size changed: the estate says 960 rps, not 480/);
  assert.equal(bigger.used(resized.targets[0]!, at("07:00")).source, "estate");
  const stricter = new CapacityBook(services, () => ({
    latencyMs: 100,
    errorsPpm: 10_000,
    quantile: 0.99,
    readingMs: 10_000,
  }));
  assert.match(stricter.recall(kept, at("07:00")).forgotten[0]!.why, /another latency/);
  const gone = kept.map((memory) => ({ ...memory, target: "pay-z" }));
  assert.match(book().recall(gone, at("07:00")).forgotten[0]!.why, /not learnt any more/);
});

test("a text that is damaged, of another service or of a later layout is not read, whatever it holds", () => {
  const learnt = book();
  learn(learnt, "pay-a", 240);
  const text = encodeMemory({ service: "pay", atMs: 0, targets: learnt.memory("pay") }, 1 << 19);
  assert.equal(decodeMemory(text, "quotes"), null);
  assert.equal(decodeMemory(text.replace('"layout":1', '"layout":2'), "pay"), null);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 6 }), (cut, noise) => {
      const memory = decodeMemory(text.slice(0, cut) + noise + text.slice(cut + noise.length), "pay");
      if (memory === null) return;
      const successor = book();
      successor.recall(memory.targets, at("07:00"));
      for (const target of estate.targets) {
        const { rps } = successor.used(target, at("07:00"));
        assert.ok(rps >= 120 && rps <= 1_920, `${rps}`);
      }
    }),
  );
});

test("a memory that would be too long keeps the targets with the newest readings", () => {
  const learnt = book();
  learn(learnt, "pay-a", 240);
  learn(learnt, "pay-b", 240, at("14:30"));
  const whole = passedOn(learnt);
  assert.equal(whole.length, 2);
  const room = encodeMemory({ service: "pay", atMs: 0, targets: whole }, 1 << 19).length - 10;
  assert.deepEqual(
    passedOn(learnt, room).map(({ target }) => target),
    ["pay-b"],
  );
});
