import { SeededRandom } from "../../control/features/seeded-random.ts";

/** A generated series that is unlike the others, and what `ballast backtest` is asked of it. */
export interface Shape {
  name: string;
  values: Float64Array;
  season: number;
  horizon: number;
  windows: number;
}

type Draw = (random: SeededRandom) => Omit<Shape, "name">;

const DRAWS: Readonly<Record<string, Draw>> = {
  "trend and season": (random) =>
    asked(24, 24, 6, 1_200, (t) => 100 + 0.15 * t + 30 * wave(t, 24) + 4 * random.normal()),
  "season that grows": (random) =>
    asked(12, 12, 6, 240, (t) => (50 + 0.8 * t) * (1 + 0.3 * wave(t, 12)) * Math.exp(0.04 * random.normal())),
  "two seasons": (random) =>
    asked(168, 24, 8, 2_400, (t) => 200 + 60 * wave(t, 24) + 40 * wave(t, 168) + 8 * random.normal()),
  "weekdays and weekends": (random) =>
    asked(168, 48, 6, 2_000, (t) => {
      const weekend = Math.floor(t / 24) % 7 >= 5 ? 0.4 : 1;
      return (300 + 120 * wave(t, 24)) * weekend * Math.exp(0.08 * random.normal());
    }),
  "sparse counts": (random) => asked(24, 12, 10, 1_500, () => (random.next() < 0.08 ? poisson(3, random) : 0)),
  "counts with a rhythm": (random) =>
    asked(24, 12, 10, 1_500, (t) => poisson(Math.max(0, 1.2 + 1.2 * wave(t, 24)), random)),
  "level shifts": (random) => {
    let level = 100;
    return asked(48, 24, 8, 1_600, (t) => {
      if (random.next() < 0.006) level = random.uniform(40, 200);
      return level + 15 * wave(t, 48) + 3 * random.normal();
    });
  },
  "one shift before the test": (random) =>
    asked(24, 12, 8, 900, (t) => (t < 700 ? 100 : 260) + 25 * wave(t, 24) + 5 * random.normal()),
  "missing rows": (random) => {
    const shape = asked(24, 12, 8, 1_200, (t) => 80 + 30 * wave(t, 24) + 5 * random.normal());
    for (let t = 0; t < shape.values.length; t++) if (random.next() < 0.12) shape.values[t] = Number.NaN;
    shape.values.fill(Number.NaN, 400, 460);
    return shape;
  },
  constant: () => asked(24, 12, 6, 500, () => 42),
  "zero everywhere": () => asked(24, 12, 6, 500, () => 0),
  "nearly constant": (random) => asked(24, 12, 6, 600, () => (random.next() < 0.01 ? 43 : 42)),
  "white noise": (random) => asked(24, 24, 8, 1_500, () => 10 + random.normal()),
  "heavy tails": (random) => asked(24, 24, 8, 1_500, () => random.normal() / Math.max(0.05, random.next()) ** 0.7),
  "random walk": (random) => {
    let level = 500;
    return asked(24, 24, 8, 1_500, () => {
      level += random.normal();
      return level;
    });
  },
  "walk without a season": (random) => {
    let level = 0;
    return asked(1, 20, 8, 1_000, () => {
      level += random.normal();
      return level;
    });
  },
  "returns to its mean": (random) => {
    let level = 0;
    return asked(1, 10, 12, 1_200, () => {
      level = 0.9 * level + random.normal();
      return 50 + level;
    });
  },
  "steep trend": (random) => asked(1, 12, 6, 300, (t) => 10 + 2 * t + 6 * random.normal()),
  "growth by a rate": (random) => asked(12, 6, 6, 120, (t) => 20 * 1.02 ** t * Math.exp(0.03 * random.normal())),
  "barely long enough": (random) => asked(12, 6, 2, 38, (t) => 30 + 8 * wave(t, 12) + random.normal()),
  "one season and two steps": (random) => asked(24, 4, 2, 34, (t) => 30 + 8 * wave(t, 24) + random.normal()),
  "season longer than half of the past": (random) =>
    asked(168, 24, 4, 380, (t) => 90 + 25 * wave(t, 168) + 10 * wave(t, 24) + 4 * random.normal()),
  "horizon beyond the season": (random) =>
    asked(12, 40, 4, 900, (t) => 60 + 20 * wave(t, 12) + 0.01 * t + 3 * random.normal()),
  "negative values": (random) => asked(24, 24, 6, 1_200, (t) => -300 + 120 * wave(t, 24) + 20 * random.normal()),
  "around nought": (random) => asked(24, 24, 6, 1_200, (t) => 20 * wave(t, 24) + 6 * random.normal()),
  huge: (random) => asked(24, 12, 6, 800, (t) => 1e12 * (3 + wave(t, 24) + 0.1 * random.normal())),
  tiny: (random) => asked(24, 12, 6, 800, (t) => 1e-9 * (3 + wave(t, 24) + 0.1 * random.normal())),
  "small on a large base": (random) => asked(24, 12, 6, 800, (t) => 1e9 + wave(t, 24) + 0.1 * random.normal()),
  "spikes at random": (random) =>
    asked(24, 12, 8, 1_500, (t) => 20 + 4 * wave(t, 24) + random.normal() + (random.next() < 0.02 ? 200 : 0)),
  "spikes at fixed hours": (random) =>
    asked(
      24,
      24,
      6,
      1_000,
      (t) => 10 + random.normal() + (t % 24 === 3 || t % 24 === 15 ? 150 + 10 * random.normal() : 0),
    ),
  "square wave": (random) => asked(48, 24, 6, 1_200, (t) => (t % 48 < 20 ? 10 : 200) + 2 * random.normal()),
  "saturated at a ceiling": (random) =>
    asked(24, 12, 8, 1_200, (t) => Math.min(100, 80 + 40 * wave(t, 24) + 6 * random.normal())),
  "period is not the season": (random) =>
    asked(24, 24, 6, 1_200, (t) => 100 + 40 * Math.sin((2 * Math.PI * t) / 31.7) + 4 * random.normal()),
  "season drifts in phase": (random) =>
    asked(96, 24, 8, 2_400, (t) => 100 + 40 * wave(t + t * 0.004, 96) + 4 * random.normal()),
  "variance that breathes": (random) =>
    asked(24, 12, 10, 1_600, (t) => 100 + 15 * wave(t, 24) + (2 + 14 * Math.max(0, wave(t, 320))) * random.normal()),
  "dies out": (random) =>
    asked(24, 12, 6, 1_000, (t) => (t > 840 ? 0 : Math.max(0, 50 + 20 * wave(t, 24) + 4 * random.normal()))),
  "months of years": (random) =>
    asked(12, 12, 3, 144, (t) => (112 + 2.6 * t) * (1 + 0.2 * wave(t, 12)) * Math.exp(0.03 * random.normal())),
  "weeks of years": (random) => asked(52, 8, 4, 200, (t) => 900 + 200 * wave(t, 52) + 40 * random.normal()),
  "days of two years": (random) =>
    asked(7, 14, 6, 730, (t) => 70 + (t % 7 >= 5 ? -30 : 5) + 0.03 * t + 5 * random.normal()),
  "long and fine": (random) => {
    let noise = 0;
    return asked(1_440, 60, 10, 50_000, (t) => {
      noise = 0.98 * noise + 4 * random.normal();
      return Math.max(0, 200 + 120 * wave(t, 1_440) + noise);
    });
  },
};

/** Every shape, drawn anew by the seed; each draws from a stream of its own, so that adding one leaves the others as they are. */
export function shapes(seed: number): Shape[] {
  return Object.entries(DRAWS).map(([name, draw], i) => ({ name, ...draw(new SeededRandom(seed * 1_009 + i)) }));
}

function asked(
  season: number,
  horizon: number,
  windows: number,
  length: number,
  at: (t: number) => number,
): Omit<Shape, "name"> {
  return { season, horizon, windows, values: Float64Array.from({ length }, (_, t) => at(t)) };
}

function wave(t: number, period: number): number {
  return Math.sin((2 * Math.PI * t) / period);
}

function poisson(mean: number, random: SeededRandom): number {
  let sum = 0;
  for (let count = 0; ; count++) {
    sum -= Math.log(1 - random.next());
    if (sum > mean) return count;
  }
}
