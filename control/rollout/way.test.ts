import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Unit } from "../checkpoint/unit.ts";
import type { PlannedService } from "../plan/plan.ts";
import { formerPlan, isProtective, nextStep, nodesAt, planAt, stepsOf, wayOf } from "./way.ts";

const plan = (shares: readonly number[], change: Partial<PlannedService> = {}): PlannedService => ({
  name: "payments",
  mode: "steer",
  why: "",
  emergency: false,
  targets: shares.map((weightPpm, i) => ({
    name: `t${i}`,
    basePpm: i === 0 ? 1_000_000 : 0,
    weightPpm,
    stickyPpm: weightPpm,
    draining: false,
    causes: [{ kind: "operator", ref: "", effectPpm: weightPpm - (i === 0 ? 1_000_000 : 0), text: "" }],
  })),
  ...change,
});
const options = { hasSessions: true, nodes: 4, limitPpm: 200_000, formerTable: "00000000000000aa" };
const shares = fc
  .array(fc.integer({ min: 0, max: 1000 }), { minLength: 3, maxLength: 3 })
  .filter((parts) => parts.some((part) => part > 0))
  .map((parts) => {
    const total = parts.reduce((a, b) => a + b);
    const [a, b] = parts.map((part) => Math.floor((part * 1_000_000) / total)) as [number, number, number];
    return [a, b, 1_000_000 - a - b];
  });
const unit = (services: Unit["services"], change: Partial<Unit> = {}): Unit => ({
  id: 5,
  kind: "change",
  services,
  cohorts: [0, 250_000, 1_000_000],
  steps: stepsOf(services, [0, 250_000, 1_000_000]),
  step: 0,
  previous: null,
  author: { kind: "person", name: "alice" },
  why: "",
  trigger: "operator",
  approval: { kind: "rule", by: { kind: "rule", name: "" }, atMs: 0 },
  inputs: "",
  ...change,
});

test("a service with sessions goes by slots, no share moving by more than the limit, each plan whole and explained", () => {
  fc.assert(
    fc.property(shares, shares, fc.integer({ min: 10_000, max: 1_000_000 }), (from, to, limitPpm) => {
      const [before, after] = [plan(from), plan(to)];
      const way = wayOf(after, before, { ...options, limitPpm });
      assert.equal(way.by, "slots");
      let at = from;
      for (let step = 0; step < way.path.length; step++) {
        const there = planAt(unit([way], { step, steps: way.path.length }), way, after);
        const weights = there.targets.map(({ weightPpm }) => weightPpm);
        assert.equal(
          weights.reduce((a, b) => a + b),
          1_000_000,
        );
        for (const [i, weight] of weights.entries()) assert.ok(Math.abs(weight - at[i]!) <= limitPpm);
        for (const { basePpm, weightPpm, causes } of there.targets)
          assert.equal(
            causes.reduce((sum, { effectPpm }) => sum + effectPpm, basePpm),
            weightPpm,
          );
        at = weights;
      }
      assert.deepEqual(at, to);
      assert.deepEqual(
        formerPlan(way, after).targets.map(({ weightPpm }) => weightPpm),
        from,
      );
    }),
  );
});

test("without sessions a service goes by nodes, all of the change at once; in a fleet of one node by slots", () => {
  const [before, after] = [plan([1_000_000, 0]), plan([500_000, 500_000])];
  const byNodes = wayOf(after, before, { ...options, hasSessions: false });
  assert.deepEqual([byNodes.by, byNodes.path.length], ["nodes", 1]);
  const alone = wayOf(after, before, { ...options, hasSessions: false, nodes: 1 });
  assert.deepEqual([alone.by, alone.path.length], ["slots", 3]);
});

test("a change of mode or of the list of targets has no half-way", () => {
  const observed = wayOf(plan([0, 1_000_000]), plan([1_000_000, 0], { mode: "observe" }), options);
  assert.equal(observed.path.length, 1);
  assert.equal(wayOf(plan([0, 0, 1_000_000]), plan([1_000_000, 0]), options).path.length, 1);
});

test("the parts of a fleet rise from one node to all, and steps that reach nobody new are left out", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 500 }), (nodes) => {
      const going = unit([
        wayOf(plan([0, 1_000_000]), plan([1_000_000, 0]), { ...options, hasSessions: false, nodes }),
      ]);
      const counts = [nodesAt(going, 0, nodes)];
      assert.equal(counts[0], 1);
      let step: number | null = 0;
      for (;;) {
        const reached: number = counts.at(-1)!;
        step = nextStep({ ...going, step }, { nodes, partial: reached < nodes, reached });
        if (step === null) break;
        counts.push(nodesAt(going, step, nodes));
        assert.ok(counts.at(-1)! > reached, counts.join());
      }
      assert.equal(counts.at(-1), nodes);
      assert.ok(counts.length <= 3);
    }),
  );
});

test("nodes that leave in the middle do not end a cohort before all have the change", () => {
  const going = unit([wayOf(plan([0, 1_000_000]), plan([1_000_000, 0]), { ...options, hasSessions: false })]);
  assert.equal(nextStep(going, { nodes: 1, partial: true, reached: 1 }), 1);
});

test("only a change in which all that lose must leave is protective", () => {
  const window = { kind: "window" as const, ref: "CHG1", effectPpm: -400_000, text: "" };
  const before = plan([400_000, 600_000]);
  const drain = plan([0, 1_000_000]);
  assert.equal(isProtective(drain, before), false);
  const [first, second] = drain.targets as [PlannedService["targets"][number], PlannedService["targets"][number]];
  const leaving = { ...drain, targets: [{ ...first, causes: [...first.causes, window] }, second] };
  assert.equal(isProtective(leaving, before), true);
  assert.equal(isProtective({ ...leaving, mode: "observe" }, before), false);
  assert.equal(isProtective(before, leaving), false, "the way home is none");
});
