import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { signStatistics, signsAt } from "../../features/series/load-signs.ts";
import { syntheticLoad } from "../../features/synthetic-load.ts";
import { DriftMonitor, type DriftState } from "./drift-monitor.ts";

const DAY = 288;
const HOUR = DAY / 24;
const SERVICES = 3;
const TRAINED_DAYS = 42;
const DAYS = 24;
const DRIFT_FROM = 18 * DAY;

const statistics = signStatistics(
  Array.from({ length: SERVICES }, (_, i) => syntheticLoad({ seed: 100 + i, days: TRAINED_DAYS })),
  DAY,
)!;

/** Loads of services that are none of those in training; from DRIFT_FROM on they are another. */
function loads(seed: number, noise: number, change: (value: number) => number): Float64Array[] {
  return Array.from({ length: SERVICES }, (_, i) => {
    const options = { seed: seed * 10 + i, days: DAYS, meanRps: 20 * 3 ** i };
    const [calm, wild] = [0.03, noise].map((own) => syntheticLoad({ ...options, noise: own }).values);
    return calm!.map((value, t) => (t < DRIFT_FROM ? value : change(wild![t]!)));
  });
}

function states(of: readonly Float64Array[], from: number, to: number, every: number): DriftState[] {
  const options = { statistics: null, coverage: [0.1, 0.5, 0.9], stepMs: 300_000, spanSteps: 7 * DAY };
  const monitor = new DriftMonitor({ ...options, signs: statistics });
  const seen: DriftState[] = [];
  for (let origin = from; origin <= to; origin += every) {
    monitor.observeSigns(Float32Array.from(of.flatMap((values) => [...signsAt(values, origin, DAY)])));
    seen.push(monitor.state());
  }
  return seen;
}

const calm = ({ verdict }: DriftState): boolean => verdict === "off" || verdict === "steady";

describe("drift that the inputs of a series model cannot show", () => {
  test("is never seen where there is none: ten seeds, eighteen days each", () => {
    for (let seed = 1; seed <= 10; seed++) {
      const clean = loads(seed, 0.03, (value) => value);
      for (const state of states(clean, 6 * DAY, DAYS * DAY, 6 * HOUR))
        assert.ok(calm(state), `seed ${seed}: ${state.text}`);
    }
  });

  const gaps = new SeededRandom(5);
  const drifts: [string, string, number, (value: number) => number][] = [
    ["twice the noise", "noise change", 0.06, (value) => value],
    ["half the noise", "noise change", 0.015, (value) => value],
    ["tenfold load", "size change", 0.03, (value) => 10 * value],
    ["a tenth of the load", "size change", 0.03, (value) => value / 10],
    ["every eighth reading missing", "gaps", 0.03, (value) => (gaps.next() < 1 / 8 ? Number.NaN : value)],
  ];
  for (const [what, sign, noise, change] of drifts)
    test(`is told by its name before a day of it is over: ${what}`, () => {
      for (const seed of [21, 22, 23]) {
        const changed = loads(seed, noise, change);
        const all = states(changed, DRIFT_FROM - 12 * HOUR, DRIFT_FROM + 24 * HOUR, HOUR);
        assert.ok(all.slice(0, 12).every(calm));
        const { verdict, text } = all.at(-1)!;
        assert.equal(verdict, "drifted", `seed ${seed}: ${JSON.stringify(all.at(-1))}`);
        assert.match(text!, new RegExp(`^loads are beyond what training saw \\(.*${sign} [01]\\.\\d\\d`));
      }
    });
});
