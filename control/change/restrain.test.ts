import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mustLeave } from "../plan/must-leave.ts";
import type { PlannedService, PlannedTarget } from "../plan/plan.ts";
import { planned, target } from "./change.fixture.ts";
import { largestStep } from "./judge.ts";
import { type Restraint, restrain } from "./restrain.ts";

const FREEZE: Restraint = { kind: "freeze", ref: "policy:year-end", text: "frozen by year-end" };
const window = (effectPpm: number) => [{ kind: "window" as const, ref: "CHG1", effectPpm, text: "CHG1" }];
const shares = (service: PlannedService) => service.targets.map((t) => t.weightPpm);

test("rebalancing is held back, and the plan in force stays", () => {
  const before = planned("s", [target("a", 500_000), target("b", 500_000)]);
  const after = planned("s", [target("a", 600_000), target("b", 400_000)]);
  const { service, heldBack } = restrain(after, before, FREEZE);
  assert.deepEqual(shares(service), [500_000, 500_000]);
  assert.equal(heldBack, true);
});

test("a drain for an approved window passes", () => {
  const before = planned("s", [target("a", 500_000), target("b", 500_000)]);
  const after = planned("s", [
    target("a", 700_000, { basePpm: 500_000 }),
    target("b", 300_000, { basePpm: 500_000, draining: true, causes: window(-200_000) }),
  ]);
  const { service, heldBack } = restrain(after, before, FREEZE);
  assert.deepEqual(shares(service), [700_000, 300_000]);
  assert.equal(service.targets[1]!.draining, true);
  assert.equal(heldBack, false);
});

test("of a drain with a rebalancing only the drain passes, and the difference has its cause", () => {
  const before = planned("s", [target("a", 400_000), target("b", 400_000), target("c", 200_000)]);
  const after = planned("s", [
    target("a", 300_000, { basePpm: 400_000 }),
    target("b", 200_000, { basePpm: 400_000, draining: true, causes: window(-200_000) }),
    target("c", 500_000, { basePpm: 200_000 }),
  ]);
  const { service, heldBack } = restrain(after, before, FREEZE);
  assert.deepEqual(shares(service), [400_000, 200_000, 400_000]);
  assert.equal(heldBack, true);
  for (const t of service.targets) {
    assert.equal(
      t.causes.reduce((sum, cause) => sum + cause.effectPpm, 0),
      t.weightPpm - t.basePpm,
      t.name,
    );
  }
  assert.equal(service.targets[0]!.causes.at(-1)?.ref, "policy:year-end");
});

test("a return after a window is not what must happen: it waits", () => {
  const before = planned("s", [target("a", 1_000_000), target("b", 0, { draining: true })]);
  const after = planned("s", [target("a", 800_000), target("b", 200_000)]);
  assert.deepEqual(shares(restrain(after, before, FREEZE).service), [1_000_000, 0]);
});

test("an emergency passes whole", () => {
  const before = planned("s", [target("a", 500_000), target("b", 500_000)]);
  const after = planned("s", [target("a", 1_000_000), target("b", 0)], { emergency: true });
  assert.deepEqual(restrain(after, before, FREEZE), { service: after, heldBack: false });
});

test("whatever the plan: sums hold, nobody loses who need not, nobody gains more than planned, causes add up", () => {
  const column = (n: number) =>
    fc
      .array(fc.nat(1000), { minLength: n, maxLength: n })
      .filter((raw) => raw.some((x) => x > 0))
      .map((raw) => {
        const sum = raw.reduce((a, b) => a + b, 0);
        const ppm = raw.map((x) => Math.floor((x * 1_000_000) / sum));
        ppm[0]! += 1_000_000 - ppm.reduce((a, b) => a + b, 0);
        return ppm;
      });
  const cases = fc
    .integer({ min: 1, max: 6 })
    .chain((n) =>
      fc.tuple(column(n), column(n), column(n), column(n), fc.array(fc.boolean(), { minLength: n, maxLength: n })),
    );
  fc.assert(
    fc.property(cases, ([was, wasSticky, now, nowSticky, leaving]) => {
      const before = planned(
        "s",
        was.map((ppm, i) => target(`t${i}`, ppm, { stickyPpm: wasSticky[i]! })),
      );
      const after = planned(
        "s",
        now.map((ppm, i): PlannedTarget => {
          const causes = [
            {
              kind: leaving[i] ? ("health" as const) : ("forecast" as const),
              ref: "x",
              effectPpm: ppm - was[i]!,
              text: "x",
            },
          ];
          return {
            ...target(`t${i}`, ppm, { basePpm: was[i]!, causes }),
            stickyPpm: nowSticky[i]!,
            draining: leaving[i]!,
          };
        }),
      );
      const { service } = restrain(after, before, FREEZE);
      assert.ok(largestStep(service, before) <= largestStep(after, before));
      for (const quota of ["weightPpm", "stickyPpm"] as const) {
        let sum = 0;
        for (const [i, t] of service.targets.entries()) {
          const [from, to, planTo] = [before.targets[i]![quota], t[quota], after.targets[i]![quota]];
          sum += to;
          assert.ok(Number.isInteger(to) && to >= 0);
          if (to < from) assert.ok(mustLeave(after.targets[i]!) && to === planTo, "only those that must lose");
          if (to > from) assert.ok(to <= planTo, "no more than planned");
        }
        assert.equal(sum, 1_000_000);
      }
      for (const t of service.targets) {
        if (t.weightPpm === t.basePpm && t.causes.length === 0) continue;
        assert.equal(
          t.causes.reduce((sum, cause) => sum + cause.effectPpm, 0),
          t.weightPpm - t.basePpm,
        );
      }
    }),
  );
});
