import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blocksOf } from "./availability.ts";
import { dayMs, forecast, MIN, policy, Runner, service, type World, window } from "./plan.fixture.ts";
import { type PlannedService, PPM } from "./plan.ts";
import { toShares } from "./shares.ts";

/** A service of 1–5 targets with up to 6 windows over twelve hours, any policy, health and demand that change by the hour. */
interface Case {
  world: World;
  everyMs: number;
  fromMs: number;
  toMs: number;
}

const half = 12 * 60;
const windowSpec = fc.record({
  target: fc.nat(4),
  start: fc.integer({ min: -60, max: half }),
  length: fc.integer({ min: 1, max: 240 }),
  remaining: fc.constantFrom(0, 0, 0, 0.3, 0.8),
  kind: fc.constantFrom("change" as const, "incident" as const, "maintenance" as const),
});

const anyCase: fc.Arbitrary<Case> = fc
  .record({
    weights: fc
      .array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 5 })
      .filter((w) => w.some((v) => v > 0)),
    capacities: fc.array(fc.constantFrom(0, 1, 50, 240, 480, 1000), { minLength: 5, maxLength: 5 }),
    windows: fc.array(windowSpec, { maxLength: 6 }),
    hasSessions: fc.boolean(),
    floor: fc.constantFrom(0, 0, 20_000, 100_000, 400_000),
    cap: fc.constantFrom(PPM, PPM, 800_000, 300_000),
    stepLimit: fc.constantFrom(1, 1_234, 50_000, 200_000, 333_333, PPM),
    step: fc.constantFrom(1, 5, 10, 30),
    lead: fc.constantFrom(5, 25, 60),
    returnAfter: fc.constantFrom(0, 10, 45),
    moveBefore: fc.constantFrom(0, 30, 120),
    hysteresis: fc.constantFrom(0, 10_000, 100_000),
    demand: fc.array(fc.constantFrom(0, 10, 200, 400, 900, 5_000, Number.NaN, null), { minLength: 12, maxLength: 12 }),
    hosts: fc.array(fc.array(fc.constantFrom(0, 1, 1, 1, 2, null), { minLength: 12, maxLength: 12 }), {
      minLength: 5,
      maxLength: 5,
    }),
    everyMin: fc.constantFrom(1, 3, 5, 7),
  })
  .map((c) => {
    const names = c.weights.map((_, i) => `t${i}`);
    const shares = toShares(c.weights);
    const windows = names.map((_, i) =>
      c.windows
        .filter((w) => w.target % names.length === i)
        .map((w, n) =>
          window(`CHG${i}${n}`, dayMs + w.start * MIN, dayMs + (w.start + w.length) * MIN, {
            remaining: w.remaining,
            kind: w.kind,
          }),
        ),
    );
    const hour = (nowMs: number): number => Math.max(0, Math.floor((nowMs - dayMs) / (60 * MIN))) % 12;
    const world: World = {
      estate: service(
        "s",
        Object.fromEntries(names.map((n, i) => [n, { rps: c.capacities[i]!, windows: windows[i]! }])),
      ),
      policy: policy(Object.fromEntries(names.map((n, i) => [n, shares[i]!])), {
        hasSessions: c.hasSessions,
        floorPpm: c.floor,
        capPpm: c.cap,
        stepLimitPpm: c.stepLimit,
        stepIntervalMs: c.step * MIN,
        leadTimeMs: c.lead * MIN,
        returnAfterMs: c.returnAfter * MIN,
        sessionsMoveBeforeMs: c.moveBefore * MIN,
        hysteresisPpm: c.hysteresis,
      }),
      demand: (nowMs) => {
        const rps = c.demand[hour(nowMs)]!;
        return rps === null ? undefined : forecast("s", rps, rps / 2);
      },
      healthy: (target, nowMs) => c.hosts[Number(target.slice(1))]![hour(nowMs)]!,
    };
    return { world, everyMs: c.everyMin * MIN, fromMs: dayMs, toMs: dayMs + 8 * 60 * MIN };
  });

function sums(plan: PlannedService, of: "weightPpm" | "stickyPpm"): number {
  return plan.targets.reduce((sum, t) => sum + t[of], 0);
}

test("every plan sums to PPM in both quotas, has no negative or broken number, and its causes add up exactly", () => {
  fc.assert(
    fc.property(anyCase, ({ world, everyMs, fromMs, toMs }) => {
      const runner = new Runner(world, everyMs);
      runner.run(fromMs, toMs, everyMs);
      for (const { plan } of runner.trace) {
        assert.equal(sums(plan, "weightPpm"), PPM);
        assert.equal(sums(plan, "stickyPpm"), PPM);
        for (const t of plan.targets) {
          assert.ok(Number.isInteger(t.weightPpm) && t.weightPpm >= 0, `${t.weightPpm}`);
          assert.ok(Number.isInteger(t.stickyPpm) && t.stickyPpm >= 0, `${t.stickyPpm}`);
          assert.equal(
            t.causes.reduce((sum, c) => sum + c.effectPpm, 0),
            t.weightPpm - t.basePpm,
          );
          for (const c of t.causes) {
            assert.ok(Number.isInteger(c.effectPpm));
            assert.ok(c.ref !== "" && c.text !== "");
            assert.doesNotMatch(c.text, /NaN|undefined|Infinity|\n/);
          }
          if (!world.policy.hasSessions) assert.equal(t.stickyPpm, t.weightPpm);
        }
        assert.doesNotMatch(plan.why, /NaN|undefined|\n/);
      }
    }),
    { numRuns: 60 },
  );
});

test("no share moves by more than the step limit, nor sooner than the step interval, unless in an emergency", () => {
  fc.assert(
    fc.property(anyCase, ({ world, everyMs, fromMs, toMs }) => {
      const runner = new Runner(world, everyMs);
      runner.run(fromMs, toMs, everyMs);
      let steppedAtMs = Number.NEGATIVE_INFINITY;
      let before = world.estate.targets.map((t) => {
        const base = world.policy.basePpm.get(t.name)!;
        return { weightPpm: base, stickyPpm: base };
      });
      for (const { nowMs, plan } of runner.trace) {
        const moves = plan.targets.flatMap((t, i) => [
          Math.abs(t.weightPpm - before[i]!.weightPpm),
          Math.abs(t.stickyPpm - before[i]!.stickyPpm),
        ]);
        if (Math.max(...moves) > 0) {
          if (!plan.emergency) {
            assert.ok(Math.max(...moves) <= world.policy.stepLimitPpm);
            assert.ok(nowMs - steppedAtMs >= world.policy.stepIntervalMs);
          }
          assert.equal(plan.steppedAtMs, nowMs);
          steppedAtMs = nowMs;
        }
        before = plan.targets;
      }
    }),
    { numRuns: 60 },
  );
});

test("a target holds no share from its lead time to its window's end as long as another target is available", () => {
  fc.assert(
    fc.property(anyCase, ({ world, everyMs, fromMs, toMs }) => {
      const runner = new Runner(world, everyMs);
      runner.run(fromMs, toMs, everyMs);
      for (const { nowMs, plan } of runner.trace) {
        if (plan.alarm !== undefined) continue;
        for (const [i, t] of plan.targets.entries()) {
          const blocks = blocksOf(world.estate.targets[i]!.windows, world.policy.leadTimeMs);
          const barred = blocks.some((b) => b.startMs - world.policy.leadTimeMs <= nowMs && nowMs < b.endMs);
          const dead = world.healthy!(t.name, nowMs) === 0;
          if (barred || dead) {
            assert.deepEqual([t.weightPpm, t.stickyPpm], [0, 0]);
            assert.ok(t.draining || t.basePpm === 0 || dead);
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("without an emergency, and off the way of a step, every share keeps within floor and cap where they can hold", () => {
  fc.assert(
    fc.property(anyCase, ({ world, everyMs, fromMs, toMs }) => {
      const runner = new Runner(world, everyMs);
      runner.run(fromMs, toMs, everyMs);
      for (const { plan } of runner.trace) {
        const onTheWay = plan.targets.some((t) => t.causes.some((c) => c.kind === "step_limit"));
        const relaxed = plan.targets.some((t) => t.causes.some((c) => c.text.includes("relaxed")));
        if (plan.alarm !== undefined || onTheWay || relaxed) continue;
        for (const t of plan.targets) {
          const removed = t.causes.some(
            (c) => ["window", "incident", "health", "telemetry"].includes(c.kind) && !c.text.startsWith("takes over"),
          );
          assert.ok(t.weightPpm <= world.policy.capPpm, `${t.weightPpm}`);
          assert.ok(t.weightPpm >= world.policy.floorPpm || (t.weightPpm === 0 && removed), `${t.weightPpm}`);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("planning the same input twice gives the same plan and the same memory", () => {
  fc.assert(
    fc.property(anyCase, ({ world, everyMs, fromMs }) => {
      const runner = new Runner(world, everyMs);
      runner.run(fromMs, fromMs + 90 * MIN, everyMs);
      const again = fromMs + 95 * MIN;
      assert.deepEqual(runner.plan(again), runner.plan(again));
    }),
    { numRuns: 40 },
  );
});

/** Calm: known windows on one target after enough time to leave it, small load, healthy hosts, bounds that do not bind. */
const calmCase = fc
  .record({
    shares: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 5 }).map(toShares),
    starts: fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 3 }),
    length: fc.integer({ min: 1, max: 120 }),
    hasSessions: fc.boolean(),
    stepLimit: fc.constantFrom(100_000, 150_000, 200_000, 333_333, PPM),
    step: fc.constantFrom(5, 10),
    every: fc.constantFrom(1, 2, 5, 7),
    jitter: fc.array(fc.double({ min: 0.5, max: 1, noNaN: true }), { minLength: 7, maxLength: 7 }),
  })
  .map((c) => {
    const names = c.shares.map((_, i) => `t${i}`);
    const steps = Math.ceil(PPM / c.stepLimit);
    // Twice the longest way at the slowest pace, so that every drain and the return between windows has room.
    const roomMin = 2 * steps * (c.step + c.every) + 25 + 30;
    const windows = c.starts.map((start, n) => {
      const from = dayMs + (roomMin + start) * MIN;
      return window(`CHG${n}`, from, from + c.length * MIN);
    });
    const world: World = {
      estate: service("s", Object.fromEntries(names.map((n, i) => [n, { windows: i === 0 ? windows : [] }]))),
      policy: policy(Object.fromEntries(names.map((n, i) => [n, c.shares[i]!])), {
        hasSessions: c.hasSessions,
        stepLimitPpm: c.stepLimit,
        stepIntervalMs: c.step * MIN,
      }),
      demand: () => forecast("s", 10),
    };
    return {
      world,
      windows,
      everyMs: c.every * MIN,
      jitter: c.jitter,
      toMs: dayMs + (2 * roomMin + 300 + c.length) * MIN,
    };
  });

test("a window that is known early enough is left in steps, without an emergency, however the calls fall", () => {
  fc.assert(
    fc.property(calmCase, ({ world, windows, everyMs, jitter, toMs }) => {
      const runner = new Runner(world, everyMs);
      for (let now = dayMs, n = 0; now < toMs; now += everyMs * jitter[n++ % jitter.length]!) runner.step(now);
      assert.deepEqual(
        runner.trace.filter((t) => t.plan.emergency || t.plan.alarm !== undefined),
        [],
      );
      for (const w of windows) {
        assert.equal(runner.weightAt("t0", w.startMs), 0);
        assert.equal(runner.stickyAt("t0", w.startMs), 0);
      }
    }),
    { numRuns: 60 },
  );
});

test("windows on several targets at once are all left in steps, as long as one target has none", () => {
  const several = fc.record({
    shares: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 3, maxLength: 5 }).map(toShares),
    starts: fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 4, maxLength: 4 }),
    hasSessions: fc.boolean(),
    every: fc.constantFrom(1, 5, 10),
  });
  fc.assert(
    fc.property(several, ({ shares, starts, hasSessions, every }) => {
      const names = shares.map((_, i) => `t${i}`);
      // Far enough for four drains one after the other, with and without sessions, at the pace of a coarse caller.
      const opens = starts.map((start) => dayMs + (1_200 + start) * MIN);
      const closes = dayMs + 1_500 * MIN;
      const windows = (i: number) => (i === 0 ? [] : [window(`CHG${i}`, opens[i - 1]!, closes)]);
      const runner = new Runner(
        {
          estate: service("s", Object.fromEntries(names.map((n, i) => [n, { windows: windows(i) }]))),
          policy: policy(Object.fromEntries(names.map((n, i) => [n, shares[i]!])), { hasSessions }),
          demand: () => forecast("s", 10),
        },
        every * MIN,
      );
      const end = runner.run(dayMs, closes + 200 * MIN, every * MIN);
      assert.deepEqual(
        runner.trace.filter((t) => t.plan.emergency || t.plan.alarm !== undefined),
        [],
      );
      for (const i of names.keys()) if (i > 0) assert.equal(runner.weightAt(`t${i}`, opens[i - 1]! - 25 * MIN), 0);
      for (const t of end.targets) assert.deepEqual([t.weightPpm, t.stickyPpm], [t.basePpm, t.basePpm]);
    }),
    { numRuns: 30 },
  );
});

test("after all windows have closed every target is back at its base weight to the ppm", () => {
  fc.assert(
    fc.property(calmCase, ({ world, everyMs, toMs }) => {
      const runner = new Runner(world, everyMs);
      const end = runner.run(dayMs, toMs, everyMs);
      for (const t of end.targets) {
        assert.equal(t.weightPpm, t.basePpm);
        assert.equal(t.stickyPpm, t.basePpm);
        assert.equal(t.draining, false);
      }
    }),
    { numRuns: 40 },
  );
});

test("with sessions, the requests without one are gone before the first session moves", () => {
  fc.assert(
    fc.property(calmCase, ({ world, everyMs, toMs }) => {
      world.policy = { ...world.policy, hasSessions: true };
      const runner = new Runner(world, everyMs);
      runner.run(dayMs, toMs, everyMs);
      const base = world.policy.basePpm.get("t0")!;
      const first = runner.trace.find((t) => t.plan.targets[0]!.stickyPpm < base);
      assert.ok(first !== undefined, "no session ever moved");
      assert.equal(first.plan.targets[0]!.weightPpm, 0);
    }),
    { numRuns: 40 },
  );
});
