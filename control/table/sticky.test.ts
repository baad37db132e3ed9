import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PPM } from "../plan/plan.ts";
import { countsOf, sharesOf, slotCounts } from "./arbitraries.ts";
import { quotasOf } from "./quotas.ts";
import { doubleSlots, homeTable, leastMoves, MAX_STRAYS, NO_OWNER, nextSticky } from "./sticky.ts";

const differing = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).filter((owner, slot) => owner !== b[slot]).length;

const walk = fc
  .integer({ min: 1, max: 8 })
  .chain((n) => fc.tuple(sharesOf(n), fc.array(sharesOf(n), { minLength: 1, maxLength: 8 }), slotCounts));

test("along any walk of quotas each table hits its quotas and moves exactly the necessary slots", () => {
  fc.assert(
    fc.property(walk, ([basePpm, steps, slots]) => {
      const home = homeTable(basePpm, slots);
      let table = home;
      for (const ppm of steps) {
        const quotas = quotasOf(ppm, slots);
        const previous = Int16Array.from(table);
        const next = nextSticky({ previous, quotas, home });
        assert.deepEqual(countsOf(next, quotas.length), quotas);
        const more = differing(next, previous) - leastMoves(previous, quotas);
        // A few more only in the step that brings everything home.
        if (more !== 0) assert.deepEqual(next, home);
        assert.ok(more >= 0 && more <= MAX_STRAYS);
        table = next;
      }
    }),
  );
});

test("a drain in steps and a return in steps leave no slot away from home", () => {
  const scenario = fc
    .integer({ min: 2, max: 6 })
    .chain((n) =>
      fc.tuple(sharesOf(n), fc.nat(n - 1), fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 6 }), slotCounts),
    );
  fc.assert(
    fc.property(scenario, ([basePpm, drained, percents, slots]) => {
      fc.pre(basePpm[drained]! < PPM);
      const home = homeTable(basePpm, slots);
      const falling = [...percents].sort((a, b) => b - a);
      let table = home;
      for (const percent of [...falling, 0, ...falling.reverse(), 100]) {
        const ppm = scaled(basePpm, new Map([[drained, percent]]));
        table = nextSticky({ previous: Int16Array.from(table), quotas: quotasOf(ppm, slots), home });
      }
      assert.equal(differing(table, home), 0);
    }),
  );
});

test("drains of several targets that overlap, in any order and steps, leave no slot away from home", () => {
  const SLOTS = 1024;
  const scenario = fc.integer({ min: 3, max: 8 }).chain((n) =>
    fc.record({
      basePpm: fc.array(fc.integer({ min: 20, max: 300 }), { minLength: n, maxLength: n }).map(normalised),
      // One target at a time: which, and to what percentage of its share.
      steps: fc.array(fc.tuple(fc.nat(Math.min(2, n - 2)), fc.constantFrom(0, 25, 50, 75, 100)), { maxLength: 20 }),
      returns: fc.constantFrom([0, 1, 2], [2, 1, 0], [1, 2, 0]),
    }),
  );
  fc.assert(
    fc.property(scenario, ({ basePpm, steps, returns }) => {
      const home = homeTable(basePpm, SLOTS);
      const percents = new Map<number, number>();
      let table = home;
      for (const [target, percent] of [...steps, ...returns.map((target) => [target, 100] as const)]) {
        if (target >= basePpm.length - 1) continue;
        percents.set(target, percent);
        const quotas = quotasOf(scaled(basePpm, percents), SLOTS);
        const previous = Int16Array.from(table);
        table = nextSticky({ previous, quotas, home });
        const more = differing(table, previous) - leastMoves(previous, quotas);
        if (more !== 0) assert.deepEqual(table, home);
        assert.ok(more >= 0 && more <= MAX_STRAYS);
      }
      assert.equal(differing(table, home), 0);
    }),
    { numRuns: 300 },
  );
});

function normalised(raw: number[]): number[] {
  const sum = raw.reduce((a, b) => a + b, 0);
  const ppm = raw.map((value) => Math.floor((value * PPM) / sum));
  ppm[0]! += PPM - ppm.reduce((a, b) => a + b, 0);
  return ppm;
}

/** The base shares with some targets at a percentage of theirs; the others share the rest in proportion. */
function scaled(basePpm: number[], percents: ReadonlyMap<number, number>): number[] {
  const ppm = basePpm.map((share, i) => Math.floor((share * (percents.get(i) ?? 0)) / 100));
  const others = basePpm.flatMap((share, i) => (!percents.has(i) && share > 0 ? [i] : []));
  const sum = others.reduce((total, i) => total + basePpm[i]!, 0);
  const rest = PPM - ppm.reduce((a, b) => a + b, 0);
  if (rest === sum) {
    for (const i of others) ppm[i] = basePpm[i]!;
    return ppm;
  }
  for (const i of others) ppm[i] = Math.floor((basePpm[i]! * rest) / sum);
  ppm[others[0]!]! += PPM - ppm.reduce((a, b) => a + b, 0);
  return ppm;
}

test("of all tables with the least moves, one with the fewest slots away from home is taken", () => {
  // Small enough to try every assignment: 6 slots, 3 targets.
  const slot = fc.integer({ min: 0, max: 2 });
  const six = fc.array(slot, { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -1, max: 2 }), { minLength: 6, maxLength: 6 }),
      six,
      six,
      (before, to, at) => {
        const previous = Int16Array.from(before);
        const quotas = countsOf(to, 3);
        const home = Uint8Array.from(at);
        const least = leastMoves(previous, quotas);
        let fewestAway = Number.POSITIVE_INFINITY;
        for (let code = 0; code < 3 ** 6; code++) {
          const candidate = Array.from({ length: 6 }, (_, k) => Math.floor(code / 3 ** k) % 3);
          if (differing(candidate, previous) !== least) continue;
          if (countsOf(candidate, 3).some((count, i) => count !== quotas[i])) continue;
          fewestAway = Math.min(fewestAway, differing(candidate, home));
        }
        const next = nextSticky({ previous, quotas, home });
        assert.equal(differing(next, previous), least);
        assert.equal(differing(next, home), fewestAway);
      },
    ),
  );
});

test("when M doubles, sessions at home stay at home and only rounding moves slots", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }).chain(sharesOf), fc.constantFrom(256, 512, 1024), (basePpm, slots) => {
      const doubled = doubleSlots(Int16Array.from(homeTable(basePpm, slots)));
      const grown = homeTable(basePpm, slots * 2);
      assert.equal(differing(grown, doubled), leastMoves(doubled, quotasOf(basePpm, slots * 2)));
    }),
  );
});

test("slots whose target left the service find owners, and no other slot moves", () => {
  const previous = Int16Array.from({ length: 256 }, (_, i) => (i % 4 === 0 ? NO_OWNER : i % 2));
  const quotas = [128, 128];
  const next = nextSticky({ previous, quotas, home: homeTable([500_000, 500_000], 256) });
  assert.equal(differing(next, previous), leastMoves(previous, quotas));
  assert.deepEqual(countsOf(next, 2), quotas);
});
