import assert from "node:assert/strict";
import { test } from "node:test";
import type { TargetWindow } from "../estate/estate.ts";
import { at, forecast, MIN, policy, Runner, service, type World, window } from "./plan.fixture.ts";
import type { PlannedService, PlannedTarget } from "./plan.ts";

const A = "payments-site-a";
const B = "payments-site-b";

/** Payments of the demo: 60/40, a change on site-b's database from nine to half past eleven that really stops it. */
function payments(more: { a?: TargetWindow[]; b?: TargetWindow[]; hasSessions?: boolean } = {}): World {
  const { a = [], b = [window("CHG0031007", at("09:00"), at("11:30"))], hasSessions = false } = more;
  const stopped = (windows: TargetWindow[], now: number) => windows.some((w) => w.startMs <= now && now < w.endMs);
  return {
    estate: service("payments", { [A]: { windows: a }, [B]: { windows: b } }),
    policy: policy({ [A]: 600_000, [B]: 400_000 }, { hasSessions }),
    healthy: (target, now) => (stopped(target === A ? a : b, now) ? 0 : 1),
  };
}

function target(plan: PlannedService, name: string): PlannedTarget {
  return plan.targets.find((t) => t.name === name)!;
}

function day(world: World, until = "23:00", everyMs = 5 * MIN): Runner {
  const runner = new Runner(world, everyMs);
  runner.run(at("06:05"), at(until), everyMs);
  return runner;
}

test("the demo's change: site-b is empty from the lead time to the close, then comes back in two steps after its health is proven", () => {
  const runner = day(payments());
  assert.equal(runner.weightAt(B, at("07:30")), 400_000);
  assert.equal(runner.weightAt(B, at("08:35")), 0);
  assert.equal(runner.weightAt(B, at("11:35")), 0);
  assert.equal(runner.weightAt(B, at("11:40")), 200_000);
  assert.equal(runner.weightAt(B, at("11:50")), 400_000);
  assert.ok(runner.trace.every((t) => !t.plan.emergency && t.plan.alarm === undefined));
});

test("the line of why names the ticket, the CI, the window and the path", () => {
  const runner = day(payments(), "12:00");
  assert.equal(
    runner.at(at("09:00")).why,
    "payments: site-b −40.0 pts: CHG0031007 on db-site-b 09:00–11:30 (pay-app-b → db-site-b)",
  );
  assert.match(
    runner.at(at("11:40")).why,
    /^payments: site-b −20\.0 pts: coming back after CHG0031007: .*next step at 11:50$/,
  );
  const taker = target(runner.at(at("09:00")), A).causes[0]!;
  assert.deepEqual([taker.kind, taker.ref, taker.effectPpm], ["window", "CHG0031007", 400_000]);
  assert.match(taker.text, /^takes over from site-b: CHG0031007/);
});

test("with sessions the order quota goes first, the sessions stay until they must move, and both come back together", () => {
  const runner = day(payments({ hasSessions: true }));
  // 08:35 is the deadline; sessions need two steps of at most 15 minutes, the requests without one two more before that.
  assert.equal(runner.weightAt(B, at("07:35")), 200_000);
  assert.equal(runner.weightAt(B, at("07:45")), 0);
  assert.equal(runner.stickyAt(B, at("08:00")), 400_000);
  const waiting = target(runner.at(at("08:00")), B);
  assert.equal(waiting.draining, true);
  assert.match(
    waiting.causes.find((c) => c.kind === "sessions")!.text,
    /hold 40\.0 % until 08:05; all are gone by 08:35/,
  );
  assert.equal(runner.stickyAt(B, at("08:05")), 200_000);
  assert.equal(runner.stickyAt(B, at("08:15")), 0);
  assert.equal(runner.stickyAt(B, at("11:40")), 200_000);
  assert.equal(runner.weightAt(B, at("11:40")), 200_000);
});

test("sessions leave at the policy's time when that is before the steps demand it", () => {
  const world = payments({ hasSessions: true });
  world.policy = { ...world.policy, sessionsMoveBeforeMs: 120 * MIN };
  const runner = day(world);
  assert.equal(runner.stickyAt(B, at("06:55")), 400_000);
  assert.equal(runner.weightAt(B, at("06:55")), 0);
  assert.equal(runner.stickyAt(B, at("07:00")), 200_000);
});

for (const [name, start, end] of [
  ["moved to the afternoon", "14:00", "16:30"],
  ["shortened", "09:00", "09:20"],
  ["moved to the early morning", "07:30", "09:00"],
] as const) {
  test(`a window that is ${name} is left before it and returned from after it`, () => {
    const runner = day(payments({ b: [window("CHG1", at(start), at(end))] }));
    assert.equal(runner.weightAt(B, at(start) - 25 * MIN), 0);
    assert.equal(runner.weightAt(B, at(end)), 0);
    assert.equal(runner.weightAt(B, at(end) + 20 * MIN), 400_000);
    assert.ok(runner.trace.every((t) => !t.plan.emergency));
  });
}

test("two windows with room between them are left and returned from twice; two without room are one", () => {
  const first = window("CHG1", at("09:00"), at("10:00"));
  const apart = day(payments({ b: [first, window("CHG2", at("14:00"), at("15:00"))] }));
  assert.equal(apart.weightAt(B, at("11:00")), 400_000);
  assert.equal(apart.weightAt(B, at("13:35")), 0);
  assert.equal(apart.weightAt(B, at("15:30")), 400_000);
  const near = day(payments({ b: [first, window("CHG2", at("10:20"), at("11:00"))] }));
  for (let now = at("08:35"); now < at("11:10"); now += 5 * MIN) assert.equal(near.weightAt(B, now), 0);
  const inside = target(near.at(at("09:30")), B).causes;
  assert.deepEqual(
    inside.slice(0, 2).map((c) => [c.ref, c.effectPpm]),
    [
      ["CHG1", -400_000],
      ["CHG2", 0],
    ],
  );
});

test("the same window entered twice counts once", () => {
  const twice = [window("CHG1", at("09:00"), at("11:30")), window("CHG2", at("09:00"), at("11:30"))];
  const weights = (world: World) => day(world).trace.map((t) => t.plan.targets.map((x) => x.weightPpm));
  assert.deepEqual(weights(payments({ b: twice })), weights(payments()));
});

test("without a window nothing moves at all", () => {
  for (const { plan } of day(payments({ b: [], hasSessions: true })).trace) {
    assert.deepEqual(
      plan.targets.map((t) => [t.weightPpm, t.stickyPpm, t.draining]),
      [
        [600_000, 600_000, false],
        [400_000, 400_000, false],
      ],
    );
    assert.match(plan.why, /^payments: base weights hold: model p90 peak 100 rps/);
  }
});

test("a change that is cancelled while the target drains brings it home in steps without waiting", () => {
  const world = payments();
  const runner = new Runner(world, 5 * MIN);
  runner.run(at("07:00"), at("08:10"), 5 * MIN);
  assert.ok(runner.weightAt(B, at("08:10")) < 400_000);
  world.estate = service("payments", { [A]: {}, [B]: {} });
  runner.run(at("08:15"), at("08:40"), 5 * MIN);
  assert.equal(runner.weightAt(B, at("08:40")), 400_000);
});

test("windows that overlap on both sites: one takes over while it can, then the alarm keeps the split, then the first back serves", () => {
  const b = [window("CHG1", at("09:00"), at("11:00"))];
  const a = [window("CHG2", at("10:00"), at("12:00"), { ciName: "db-site-a" })];
  const runner = day(payments({ a, b }));
  assert.equal(runner.weightAt(A, at("09:00")), 1_000_000);
  const both = runner.at(at("10:30"));
  assert.match(both.alarm!, /no target is available; traffic stays on site-a/);
  assert.match(both.why, /^payments: ALARM no target is available/);
  assert.equal(target(both, A).weightPpm, 1_000_000);
  assert.equal(target(both, A).causes.find((c) => c.effectPpm !== 0)!.effectPpm, 400_000);
  // Site-b is healthy again at 11:00 while site-a is still down: it serves at once rather than after its probation.
  const first = runner.at(at("11:00"));
  assert.deepEqual([target(first, B).weightPpm, first.emergency], [1_000_000, true]);
  assert.equal(runner.weightAt(A, at("12:05")), 0);
  assert.equal(runner.weightAt(A, at("12:40")), 600_000);
});

test("windows at the same time on both sites keep the split in force and say so", () => {
  const b = [window("CHG1", at("09:00"), at("10:00"))];
  const a = [window("CHG2", at("09:00"), at("10:00"))];
  const runner = day(payments({ a, b }));
  for (const { nowMs, plan } of runner.trace) {
    assert.equal(target(plan, A).weightPpm, 600_000);
    assert.equal(plan.alarm !== undefined, nowMs >= at("08:35") && nowMs < at("10:00"));
  }
});

test("two sites that must be left one after the other are left in the order of their deadlines, within the step limit", () => {
  const world: World = {
    estate: service("quotes", {
      "quotes-a": { rps: 2_000 },
      "quotes-b": { windows: [window("CHG1", at("09:00"), at("12:00"))] },
      "quotes-c": { windows: [window("CHG2", at("09:20"), at("12:00"))] },
    }),
    policy: policy({ "quotes-a": 400_000, "quotes-b": 400_000, "quotes-c": 200_000 }),
  };
  // Called once per step interval there is no step to spare: two steps without b, then two without b and c.
  const runner = new Runner(world, 0);
  runner.run(at("06:05"), at("12:30"), 10 * MIN);
  assert.ok(runner.trace.every((t) => !t.plan.emergency));
  assert.equal(runner.weightAt("quotes-b", at("08:14")), 400_000);
  assert.equal(runner.weightAt("quotes-b", at("08:25")), 0);
  assert.ok(runner.weightAt("quotes-c", at("08:34")) > 200_000);
  assert.equal(runner.weightAt("quotes-c", at("08:45")), 0);
});

test("a drain that has begun goes on when a smaller demand would let it begin later", () => {
  const world = payments();
  // Site-b is wanted at half of 672 rps, three steps away from nothing; at 100 rps it would be two.
  world.policy = policy({ [A]: 600_000, [B]: 400_000 });
  const runner = new Runner(world, 5 * MIN);
  world.demand = () => forecast("payments", 672);
  runner.run(at("06:05"), at("07:50"), 5 * MIN);
  const begun = runner.weightAt(B, at("07:50"));
  assert.ok(begun < 500_000, `${begun}`);
  world.demand = () => forecast("payments", 100);
  runner.run(at("07:55"), at("09:00"), 5 * MIN);
  const weights = runner.trace.filter((t) => t.nowMs >= at("07:50")).map((t) => target(t.plan, B).weightPpm);
  assert.ok(
    weights.every((w, i) => i === 0 || w <= weights[i - 1]!),
    `${weights}`,
  );
});

test("a window that falls between two calls is waited for all the same", () => {
  const world = payments({ b: [window("CHG1", at("09:01"), at("09:04"))] });
  const runner = day(world, "10:00");
  assert.equal(runner.weightAt(B, at("09:10")), 0);
  assert.equal(runner.weightAt(B, at("09:15")), 200_000);
});

test("an incident that opens now takes its target out at once, and the plan says it is an emergency", () => {
  const world = payments({ b: [] });
  const runner = new Runner(world, 5 * MIN);
  runner.run(at("06:05"), at("07:00"), 5 * MIN);
  const open = window("INC0042", at("07:01"), Number.POSITIVE_INFINITY, { kind: "incident" });
  world.estate = service("payments", { [A]: {}, [B]: { windows: [open] } });
  const plan = runner.step(at("07:05"));
  assert.equal(target(plan, B).weightPpm, 0);
  assert.equal(plan.emergency, true);
  assert.deepEqual(
    target(plan, B)
      .causes.slice(0, 1)
      .map((c) => [c.kind, c.ref, c.effectPpm]),
    [["incident", "INC0042", -400_000]],
  );
  assert.match(plan.why, /at once: site-b −40\.0 pts: INC0042 on db-site-b 07:01–open end/);
});

test("a target without a healthy host loses its share at once, and comes back in steps when it has been well for long enough", () => {
  const world = payments({ b: [] });
  world.healthy = (name, now) => (name === B && now >= at("07:00") && now < at("08:00") ? 0 : 1);
  const runner = day(world, "09:00");
  const dead = runner.at(at("07:00"));
  assert.deepEqual([target(dead, B).weightPpm, target(dead, B).stickyPpm, dead.emergency], [0, 0, true]);
  assert.match(dead.why, /at once: site-b −40\.0 pts: no healthy host \(0 of 1\)/);
  assert.equal(runner.at(at("07:05")).emergency, false);
  assert.equal(runner.weightAt(B, at("08:05")), 0);
  assert.match(
    target(runner.at(at("08:05")), B).causes[0]!.text,
    /must be healthy for 10 min first, may return at 08:10/,
  );
  assert.equal(runner.weightAt(B, at("08:10")), 200_000);
  assert.equal(runner.weightAt(B, at("08:20")), 400_000);
});

test("a relapse during the probation starts it anew", () => {
  const world = payments({ b: [] });
  const sick = (now: number) => (now >= at("07:00") && now < at("08:00")) || (now >= at("08:05") && now < at("08:10"));
  world.healthy = (name, now) => (name === B && sick(now) ? 0 : 1);
  const runner = day(world, "09:00");
  assert.equal(runner.weightAt(B, at("08:15")), 0);
  assert.equal(runner.weightAt(B, at("08:20")), 200_000);
});

test("the last target keeps its share even without a healthy host", () => {
  const world = payments({ b: [] });
  world.healthy = (_, now) => (now >= at("07:00") ? 0 : 1);
  const plan = day(world, "08:00").at(at("08:00"));
  assert.deepEqual(
    plan.targets.map((t) => t.weightPpm),
    [600_000, 400_000],
  );
  assert.match(plan.alarm!, /no target is available/);
  assert.equal(plan.emergency, false);
});

test("a target that stays sick after its window closed is not sent anything", () => {
  const world = payments();
  world.healthy = (name, now) => (name === B && now >= at("09:00") && now < at("13:00") ? 0 : 1);
  const runner = day(world, "14:00");
  assert.equal(runner.weightAt(B, at("12:59")), 0);
  assert.equal(runner.weightAt(B, at("13:05")), 0);
  assert.equal(runner.weightAt(B, at("13:20")), 400_000);
});

test("stale telemetry neither empties a target nor brings one back, and the causes say that it was not used", () => {
  const world = payments();
  world.blind = (now) => now >= at("10:00") && now < at("12:00");
  const runner = day(world, "13:00");
  assert.equal(runner.weightAt(B, at("11:55")), 0);
  const held = target(runner.at(at("11:55")), B).causes[0]!;
  assert.deepEqual([held.kind, held.effectPpm], ["telemetry", -400_000]);
  assert.match(held.text, /not been seen healthy since: there is no telemetry yet/);
  assert.equal(runner.weightAt(B, at("12:20")), 400_000);
});

test("telemetry is judged old on the planning clock", () => {
  const { estate, policy: p, healthy } = payments({ b: [] });
  const runner = new Runner({ estate, policy: p, healthy: healthy! });
  const { plan } = { plan: runner.step(at("07:00")) };
  assert.equal(plan.alarm, undefined);
  const old = { estate, policy: { ...p, telemetryMaxAgeMs: -1 } };
  const causes = target(new Runner(old).step(at("07:00")), B).causes;
  assert.ok(causes.some((c) => c.kind === "telemetry" && /health and live load are not used/.test(c.text)));
});

test("a demand peak ahead moves shares before the load is there, and the forecast's effect is told apart from the load's", () => {
  const world = payments({ b: [] });
  world.estate = service("payments", { [A]: { rps: 480 }, [B]: { rps: 480 } });
  world.demand = (now) => forecast("payments", now >= at("08:00") ? 672 : 300, 300);
  const runner = day(world, "09:00");
  assert.equal(runner.weightAt(A, at("07:55")), 600_000);
  assert.equal(runner.weightAt(A, at("08:00")), 500_000);
  const causes = target(runner.at(at("08:00")), A).causes;
  assert.deepEqual(
    causes.map((c) => [c.kind, c.ref, c.effectPpm]),
    [["forecast", "model", -100_000]],
  );
  assert.match(
    causes[0]!.text,
    /model p90 peak 672 rps in 10 min against 300 rps now: 403 rps at 60\.0 % against 480 rps capacity/,
  );
});

test("what the present load alone would move is the capacity's cause, and only the rest the forecast's", () => {
  const world = payments({ b: [] });
  world.demand = () => forecast("payments", 900, 600);
  const { causes } = target(new Runner(world).step(at("08:00")), A);
  // 600 rps against 0.7 · 480 = 336 rps allows 56 %; 900 rps is beyond both targets, so capacity decides: 50 %.
  assert.deepEqual(
    causes.map((c) => [c.kind, c.effectPpm]),
    [
      ["capacity", -40_000],
      ["forecast", -60_000],
    ],
  );
});

test("a higher load now wins over a lower forecast", () => {
  const world = payments({ b: [] });
  world.demand = () => forecast("payments", 100, 900);
  const { causes, weightPpm } = target(new Runner(world).step(at("08:00")), A);
  assert.equal(weightPpm, 500_000);
  assert.deepEqual(
    causes.map((c) => [c.kind, c.effectPpm]),
    [
      ["capacity", -100_000],
      ["forecast", 0],
    ],
  );
});

test("where the model is missing the explanation names the fall-back and its reason", () => {
  const world = payments({ b: [] });
  world.demand = () =>
    forecast("payments", 672, 300, { source: "seasonal_naive", fallbackReasons: ["demand.onnx is not there"] });
  const { causes } = target(new Runner(world).step(at("08:00")), A);
  assert.equal(causes[0]!.ref, "seasonal_naive");
  assert.match(
    causes[0]!.text,
    /^seasonal naive p90 peak 672 rps .*fall-back from the model: demand\.onnx is not there$/,
  );
  world.demand = () => undefined;
  const plan = new Runner(world).step(at("08:00"));
  assert.match(
    plan.why,
    /base weights hold: no forecast, load now not known; fall-back from the model: no forecast was made/,
  );
});

test("a demand that swings within the hysteresis moves nothing, and the way home is never held back", () => {
  const world = payments({ b: [] });
  // 336 rps ÷ demand is site-a's largest share: 59.4 % at 566 rps, within one point of 60 %.
  world.demand = (now) => forecast("payments", now < at("08:00") ? 566 : now < at("09:00") ? 590 : 300);
  const runner = day(world, "10:00");
  const held = runner.at(at("07:00"));
  assert.equal(target(held, A).weightPpm, 600_000);
  assert.ok(target(held, A).causes.some((c) => c.kind === "hysteresis" && c.effectPpm > 0));
  assert.ok(runner.weightAt(A, at("08:30")) < 590_000);
  assert.equal(runner.weightAt(A, at("09:00")), 600_000);
});

test("a window that leaves part of the capacity moves only what the rest cannot hold", () => {
  const part = window("CHG7", at("09:00"), at("11:00"), { remaining: 0.25 });
  const world = payments({ b: [part] });
  world.healthy = () => 1;
  world.demand = () => forecast("payments", 300);
  const runner = day(world, "12:00");
  // 0.25 · 480 · 0.7 = 84 rps of 300 fit on site-b.
  assert.equal(runner.weightAt(B, at("09:00")), 280_000);
  assert.deepEqual(
    target(runner.at(at("09:00")), B)
      .causes.slice(0, 1)
      .map((c) => [c.kind, c.ref, c.effectPpm]),
    [["window", "CHG7", -120_000]],
  );
  assert.equal(runner.weightAt(B, at("11:10")), 400_000);
});

test("floors and caps hold, and one that cannot hold is relaxed and named", () => {
  const world = payments();
  world.policy = { ...world.policy, capPpm: 550_000 };
  const runner = day(world, "10:00");
  assert.equal(runner.weightAt(A, at("06:30")), 550_000);
  assert.ok(target(runner.at(at("06:30")), A).causes.some((c) => c.kind === "cap" && c.effectPpm === -50_000));
  const open = runner.at(at("09:00"));
  assert.equal(target(open, A).weightPpm, 1_000_000);
  assert.ok(target(open, A).causes.some((c) => c.kind === "cap" && /relaxed to 100\.0 %.*1 of 2 targets/.test(c.text)));
});

test("a restart in the middle of a window with nothing remembered empties the target at once", () => {
  const runner = new Runner(payments(), 5 * MIN);
  const plan = runner.step(at("10:00"));
  assert.deepEqual([target(plan, B).weightPpm, plan.emergency], [0, true]);
  runner.run(at("10:05"), at("12:00"), 5 * MIN);
  assert.equal(runner.weightAt(B, at("11:35")), 0);
  assert.equal(runner.weightAt(B, at("11:50")), 400_000);
});

test("a restart with the last plan from the store goes on where it was, in the drain, in the window and in the return", () => {
  const whole = day(payments({ hasSessions: true }), "13:00");
  for (const moment of ["07:40", "08:10", "10:00"]) {
    const runner = new Runner(payments({ hasSessions: true }), 5 * MIN);
    runner.run(at("06:05"), at(moment), 5 * MIN);
    runner.restart();
    runner.run(at(moment) + 5 * MIN, at("13:00"), 5 * MIN);
    const weights = (r: Runner) => r.trace.map((t) => [t.nowMs, t.plan.targets.map((x) => [x.weightPpm, x.stickyPpm])]);
    assert.deepEqual(weights(runner), weights(whole), moment);
  }
});

test("after a take-over a target that a person has set to zero is not said to be out of service, with and without telemetry", () => {
  for (const blind of [false, true]) {
    const runner = new Runner({ ...payments({ b: [] }), blind: () => blind });
    runner.step(at("06:05"));
    const { plan, steppedAtMs } = runner.last!.get("payments")!;
    const empty = {
      weightPpm: 0,
      stickyPpm: 0,
      causes: [{ kind: "operator", ref: "alice", effectPpm: -400_000, text: "" }],
    };
    const whole = { weightPpm: 1_000_000, stickyPpm: 1_000_000 };
    const targets = plan.targets.map((one) => ({ ...one, ...(one.name === B ? empty : whole) })) as PlannedTarget[];
    runner.last = new Map([["payments", { plan: { ...plan, targets }, steppedAtMs }]]);
    runner.restart();
    const next = runner.step(at("06:10"));
    assert.deepEqual(
      next.targets.map(({ draining }) => draining),
      [false, false],
    );
    assert.doesNotMatch(JSON.stringify(target(next, B).causes), /"health"/);
  }
});

test("after a restart a target that was taken out of service must prove its health anew", () => {
  const runner = new Runner(payments(), 5 * MIN);
  runner.run(at("06:05"), at("11:35"), 5 * MIN);
  runner.restart();
  assert.equal(target(runner.step(at("11:45")), B).weightPpm, 0);
  assert.equal(target(runner.step(at("11:55")), B).weightPpm, 200_000);
});

test("a service of one target keeps it whatever happens", () => {
  const world: World = {
    estate: service("ledger", { "ledger-a": { windows: [window("CHG1", at("09:00"), at("10:00"))] } }),
    policy: policy({ "ledger-a": 1_000_000 }),
    healthy: (_, now) => (now < at("09:30") ? 1 : 0),
  };
  const runner = day(world, "12:00");
  assert.ok(runner.trace.every((t) => t.plan.targets[0]!.weightPpm === 1_000_000));
  assert.equal(runner.at(at("08:00")).alarm, undefined);
  assert.notEqual(runner.at(at("09:00")).alarm, undefined);
});

test("a target that is new in the estate starts from nothing and comes in by steps", () => {
  const world = payments({ b: [] });
  const runner = new Runner(world);
  runner.step(at("07:00"));
  world.estate = service("payments", { [A]: {}, [B]: {}, "payments-site-c": {} });
  world.policy = policy({ [A]: 400_000, [B]: 300_000, "payments-site-c": 300_000 });
  assert.equal(target(runner.step(at("07:10")), "payments-site-c").weightPpm, 200_000);
  assert.equal(target(runner.step(at("07:20")), "payments-site-c").weightPpm, 300_000);
});

test("the plan hints when the calendar will next change it", () => {
  const runner = new Runner(payments());
  assert.equal(runner.step(at("06:05")).nextChangeAtMs, at("08:15"));
  assert.equal(runner.step(at("08:15")).nextChangeAtMs, at("08:25"));
});

test("base weights that do not sum to the whole are a broken invariant, not a plan", () => {
  const world = payments();
  world.policy = policy({ [A]: 600_000, [B]: 300_000 });
  assert.throws(() => new Runner(world).step(at("07:00")), /base weights of payments/);
});
