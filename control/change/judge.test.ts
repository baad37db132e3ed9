import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlannedService } from "../plan/plan.ts";
import { planned, policies, target } from "./change.fixture.ts";
import { type JudgeInput, judge } from "./judge.ts";

const BEFORE = planned("payments", [target("a", 600_000), target("b", 400_000)]);
const BOUNDS = { maxStepPpm: null, maxServices: 10, minSharePpm: 50_000 };

function judged(after: PlannedService[], more: Partial<JudgeInput> = {}) {
  const before = new Map([[BEFORE.name, BEFORE]]);
  const result = judge({
    services: after,
    before,
    policies: policies([BEFORE]),
    bounds: BOUNDS,
    by: "person",
    emergency: false,
    ...more,
  });
  return { ...result, broken: result.verdicts.filter(({ ok }) => !ok).map(({ rule }) => rule) };
}

const split = (a: number, more: Partial<PlannedService> = {}) =>
  planned("payments", [target("a", a), target("b", 1_000_000 - a)], more);

test("a change inside all bounds is standard", () => {
  const { changeType, sound, broken } = judged([split(700_000)]);
  assert.deepEqual({ changeType, sound, broken }, { changeType: "standard", sound: true, broken: [] });
});

test("each bound that is broken makes it normal and is named", () => {
  assert.deepEqual(judged([split(800_001)]).broken, ["step_limit"]);
  assert.equal(judged([split(800_001)]).changeType, "normal");
  assert.deepEqual(judged([split(700_000)], { bounds: { ...BOUNDS, maxStepPpm: 50_000 } }).broken, ["step_limit"]);
  assert.deepEqual(judged([split(960_000)], { policies: policies([BEFORE], { stepLimitPpm: 500_000 }) }).broken, [
    "floor",
  ]);
  assert.deepEqual(judged([split(700_000)], { policies: policies([BEFORE], { capPpm: 650_000 }) }).broken, ["cap"]);
  assert.deepEqual(judged([split(700_000)], { bounds: { ...BOUNDS, maxServices: 0 } }).broken, ["services_changed"]);
  assert.deepEqual(judged([split(600_000, { mode: "observe" })]).broken, ["mode"]);
});

test("a target that must be left may go below the floor", () => {
  const window = [{ kind: "window" as const, ref: "CHG1", effectPpm: -400_000, text: "CHG1" }];
  const drained = planned("payments", [
    target("a", 1_000_000),
    target("b", 0, { basePpm: 400_000, draining: true, causes: window }),
  ]);
  const broken = judged([drained], { policies: policies([BEFORE], { stepLimitPpm: 400_000 }), by: "planner" }).broken;
  assert.deepEqual(broken, []);
});

test("what is broken in itself is not sound, whoever asks for it and however urgent", () => {
  const unsound: [string, PlannedService[]][] = [
    ["shares_sum", [planned("payments", [target("a", 600_000), target("b", 300_000)])]],
    ["shares_sum", [planned("payments", [target("a", 1_100_000), target("b", -100_000)])]],
    ["shares_sum", [planned("payments", [target("a", Number.NaN), target("b", 400_000)])]],
    ["shares_sum", [planned("payments", [target("a", 600_000.5), target("b", 399_999.5)])]],
    ["targets_known", [planned("payments", [target("a", 600_000), target("c", 400_000)])]],
    ["targets_once", [planned("payments", [target("a", 600_000), target("a", 400_000)])]],
    ["shares_sum", [planned("payments", [])]],
    ["not_empty", []],
  ];
  for (const [rule, services] of unsound) {
    const { sound, broken } = judged(services, { emergency: true });
    assert.equal(sound, false, rule);
    assert.ok(broken.includes(rule), `${rule} of ${broken}`);
  }
});

test("an emergency is one whatever the bounds say", () => {
  const after = [split(1_000_000, { emergency: true })];
  assert.equal(judged(after, { emergency: true }).changeType, "emergency");
  assert.equal(judged(after, { emergency: true }).sound, true);
});

test("services that stay as they are do not count and are not held against bounds", () => {
  const low = planned("payments", [target("a", 990_000), target("b", 10_000)]);
  const same = judge({
    services: [low],
    before: new Map([["payments", low]]),
    policies: policies([BEFORE]),
    bounds: { ...BOUNDS, maxServices: 0 },
    by: "person",
    emergency: false,
  });
  assert.equal(same.changeType, "standard");
});
