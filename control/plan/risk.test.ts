import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ChangeRisk, type ChangeRisks, riskKey } from "../forecast/risk/risk.ts";
import { at, forecast, MIN, policy, service, window } from "./plan.fixture.ts";
import type { PlanInput, PlannedService, ServicePolicy } from "./plan.ts";
import { PPM } from "./plan.ts";
import { planFleet } from "./plan-fleet.ts";
import { shiftForRisk } from "./risk.ts";

const base = { "pay-a": 600_000, "pay-b": 400_000 };
const riskPolicy = (more: Partial<ServicePolicy> = {}): ServicePolicy =>
  policy(base, { riskFrom: 0.1, riskShiftPpm: 500_000, stepLimitPpm: PPM, hysteresisPpm: 0, ...more });
const rolling = window("CHG7", at("09:00"), at("11:00"), { remaining: 1 });

function risks(probability: number, more: Partial<ChangeRisk> = {}, target = "pay-b"): ChangeRisks {
  const risk: ChangeRisk = { change: "0", target, probability, source: "model", fallbackReasons: [], ...more };
  return new Map([[riskKey("0", target), risk]]);
}

function plan(
  nowMs: number,
  more: Partial<PlanInput> & { peak?: number; own?: Partial<ServicePolicy>; pending?: boolean },
): PlannedService {
  const estate = service("pay", { "pay-a": {}, "pay-b": more.pending ? {} : { windows: [rolling] } });
  if (more.pending) estate.targets[1]!.pending = [{ ...rolling, remaining: 1 }];
  const { services } = planFleet({
    nowMs,
    monotonicMs: 0,
    services: new Map([["pay", { estate, policy: riskPolicy(more.own) }]]),
    forecasts: new Map([["pay", forecast("pay", more.peak ?? 100)]]),
    telemetry: null,
    last: null,
    ...more,
  });
  return services.get("pay")!;
}
const weight = (planned: PlannedService, name: string): number =>
  planned.targets.find((t) => t.name === name)!.weightPpm;

test("a risky change moves a part of the target's share ahead of its window, and home after it", () => {
  // (0.28 − 0.1) / 0.9 × 50 % = 10 % of 40 %.
  const given = { risks: risks(0.28) };
  assert.equal(weight(plan(at("08:30"), given), "pay-b"), 400_000);
  for (const time of ["08:35", "10:00", "11:09"]) assert.equal(weight(plan(at(time), given), "pay-b"), 360_000, time);
  assert.equal(weight(plan(at("11:10"), given), "pay-b"), 400_000);
});

test("the cause names the change, the probability and the link that answered, and effects add up", () => {
  const planned = plan(at("10:00"), {
    risks: risks(0.28, { source: "rule", fallbackReasons: ["MODEL_MISSING: none"] }),
  });
  const [a, b] = planned.targets.map(({ causes }) => causes.find(({ kind }) => kind === "risk")!);
  assert.deepEqual([b!.ref, b!.effectPpm, a!.ref, a!.effectPpm], ["CHG7", -40_000, "CHG7", 40_000]);
  assert.match(
    b!.text,
    /^CHG7 on db-site-b 09:00–11:00 .* degrades it with 28\.0 % \(rule\): 10\.0 % of its traffic .*MODEL_MISSING/,
  );
  assert.match(a!.text, /^takes over from b: CHG7/);
  for (const cause of [a, b]) assert.deepEqual(cause!.risk, { target: "pay-b", probability: 0.28, source: "rule" });
  for (const { causes, weightPpm, basePpm } of planned.targets) {
    assert.equal(
      causes.reduce((sum, c) => sum + c.effectPpm, 0),
      weightPpm - basePpm,
    );
  }
  assert.match(planned.why, /b −4\.0 pts: CHG7/);
});

test("a change that waits for approval counts by its chance of being carried out, and by default is only told", () => {
  const told = plan(at("10:00"), { risks: risks(0.9), pending: true });
  assert.equal(weight(told, "pay-b"), 400_000);
  assert.match(
    told.targets[1]!.causes.find(({ kind }) => kind === "risk")!.text,
    /90\.0 % \(model\), carried out with 0\.0 %/,
  );
  const planned = plan(at("10:00"), { risks: risks(0.56), pending: true, own: { pendingChance: 0.5 } });
  assert.equal(weight(planned, "pay-b"), 360_000);
  assert.match(planned.targets[1]!.causes.find(({ kind }) => kind === "risk")!.text, /which waits for approval/);
});

test("below the policy's threshold nothing moves but the probability is told", () => {
  const planned = plan(at("10:00"), { risks: risks(0.09) });
  assert.equal(weight(planned, "pay-b"), 400_000);
  const cause = planned.targets[1]!.causes.find(({ kind }) => kind === "risk")!;
  assert.equal(cause.effectPpm, 0);
  assert.match(cause.text, /9\.0 % \(model\), below the 10\.0 %/);
});

test("risk never pushes another target over its objective: with no room nothing moves, with little room little does", () => {
  // At 480 rps capacity and 70 % objective each target has room for 336 rps.
  assert.equal(weight(plan(at("10:00"), { risks: risks(1), peak: 672 }), "pay-b"), 500_000);
  const tight = plan(at("10:00"), { risks: risks(1), peak: 540 });
  const rps = (540 * weight(tight, "pay-a")) / PPM;
  assert.ok(rps <= 336.001 && rps > 335.9, `${rps}`);
  assert.match(
    plan(at("10:00"), { risks: risks(1), peak: 672 }).targets[1]!.causes.find(({ kind }) => kind === "risk")!.text,
    /nobody has room/,
  );
});

test("the policy bounds it: no more than riskShift goes, the floor stays, and a share of 0 % turns it off", () => {
  assert.equal(weight(plan(at("10:00"), { risks: risks(1) }), "pay-b"), 200_000);
  assert.equal(weight(plan(at("10:00"), { risks: risks(1), own: { floorPpm: 300_000 } }), "pay-b"), 300_000);
  assert.equal(weight(plan(at("10:00"), { risks: risks(1), own: { riskShiftPpm: 0 } }), "pay-b"), 400_000);
  assert.equal(weight(plan(at("10:00"), { risks: risks(1), own: { stepLimitPpm: 50_000 } }), "pay-b"), 350_000);
});

test("a probability that is no probability, another change's, or one at all targets moves nothing", () => {
  assert.equal(weight(plan(at("10:00"), { risks: risks(Number.NaN) }), "pay-b"), 400_000);
  assert.equal(weight(plan(at("10:00"), { risks: risks(1, {}, "pay-z") }), "pay-b"), 400_000);
  assert.deepEqual(shiftForRisk([600_000, 400_000], [true, true], [0.5, 0.5], [PPM, PPM]), [600_000, 400_000]);
});

test("shifting keeps the sum, takes no more than asked and overfills nobody, whatever the shares", () => {
  const one = fc.record({
    share: fc.integer({ min: 0, max: 1000 }),
    shift: fc.constantFrom(0, 0, 0.1, 0.37, 1),
    room: fc.integer({ min: 0, max: 2 * PPM }),
    allowed: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(one, { minLength: 2, maxLength: 8 }), (targets) => {
      const total = targets.reduce((sum, t) => sum + (t.allowed ? t.share : 0), 0);
      fc.pre(total > 0);
      const shares = targets.map((t) => (t.allowed ? Math.floor((t.share / total) * PPM) : 0));
      const first = targets.findIndex((t) => t.allowed && t.share > 0);
      shares[first]! += PPM - shares.reduce((a, b) => a + b, 0);
      const next = shiftForRisk(
        shares,
        targets.map((t) => t.allowed),
        targets.map((t) => t.shift),
        targets.map((t) => t.room),
      );
      assert.equal(
        next.reduce((a, b) => a + b, 0),
        PPM,
      );
      targets.forEach(({ shift, room, allowed }, i) => {
        if (!allowed) assert.equal(next[i], 0);
        else if (shift > 0) assert.ok(next[i]! <= shares[i]! && next[i]! >= Math.floor(shares[i]! * (1 - shift)) - 1);
        else assert.ok(next[i]! >= shares[i]! && next[i]! <= Math.max(shares[i]!, room) + 1);
      });
    }),
  );
});

test("a plan tells the caller when a risk begins and ends to count", () => {
  assert.equal(plan(at("08:00"), { risks: risks(0.28) }).nextChangeAtMs, at("08:35"));
  const last = new Map([
    ["pay", { plan: plan(at("10:00"), { risks: risks(0.28) }), steppedAtMs: at("09:00") - 60 * MIN }],
  ]);
  assert.equal(plan(at("10:05"), { risks: risks(0.28), last }).nextChangeAtMs, at("11:10"));
});
