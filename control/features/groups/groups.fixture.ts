import { SeededRandom } from "../seeded-random.ts";
import { Past } from "../series/past.ts";
import { splitSpans, type TrainingSeries } from "../series/training-examples.ts";
import type { FeatureGroup } from "./group.ts";
import { GROUPS } from "./grouped-inputs.ts";
import type { World } from "./world.ts";

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const shape = { season: 24, horizon: 6 };
/** A Monday. */
export const START_MS = Date.UTC(2026, 2, 2);
export const STEPS = 700;

const random = new SeededRandom(3);
export const values = Float64Array.from(
  { length: STEPS },
  (_, t) => 100 + 20 * Math.sin((2 * Math.PI * t) / 24) + random.normal(),
);

/** Columns of one group at an origin and horizon step, by name. */
export function said(
  group: FeatureGroup,
  world: World,
  originMs: number,
  h = 0,
  service = "api",
): Record<string, number> {
  const parameters = group.fit(world, START_MS + STEPS * HOUR_MS);
  const columns = group.columns(parameters);
  const row = new Float32Array(columns.length);
  const origin = (originMs - START_MS) / HOUR_MS;
  const about = { originMs, past: new Past(values, 24), origin, ...shape, stepMs: HOUR_MS, scale: 10 };
  group.prepare(parameters, world, service)(about)(h, row, 0);
  return Object.fromEntries(columns.map(({ name }, i) => [name, row[i]!]));
}

export const empty: World = { stepMs: HOUR_MS };

/** Everything at once. */
export function wholeWorld(): World {
  return {
    stepMs: HOUR_MS,
    timeZone: "Europe/Berlin",
    holidays: [{ date: "2026-03-11", name: "h", knownAtMs: 0 }],
    loads: new Map([["web", { startMs: START_MS, values: Float64Array.from(values, (v, t) => 2 * v + Math.cos(t)) }]]),
    neighbours: new Map([["api", [{ service: "web", weight: 1 }]]]),
    windows: new Map([
      [
        "api",
        [
          {
            kind: "incident",
            startMs: START_MS + 650 * HOUR_MS,
            endMs: START_MS + 655 * HOUR_MS,
            share: 0.4,
            knownAtMs: START_MS + 650 * HOUR_MS,
            endKnownAtMs: START_MS + 655 * HOUR_MS,
          },
        ],
      ],
    ]),
    signals: [
      {
        signal: "promo",
        service: null,
        startMs: START_MS + 100 * HOUR_MS,
        endMs: START_MS + 690 * HOUR_MS,
        value: 2,
        knownAtMs: START_MS,
      },
    ],
    visits: new Map([
      [
        "api",
        Array.from({ length: 4_000 }, (_, i) => ({
          atMs: START_MS + i * 10 * 60_000,
          client: `c${i % 40}`,
          route: `/r${(i * (i % 5)) % 9}`,
        })),
      ],
    ]),
  };
}

export const series: TrainingSeries = { name: "api", values };
export const spans = splitSpans(shape, STEPS)!;
export const starts = new Map([["api", START_MS]]);
export const fitToMs = START_MS + spans.train[1] * HOUR_MS;
export const all = GROUPS;
