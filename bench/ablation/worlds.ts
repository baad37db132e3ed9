import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Load, ServiceWindow } from "../../control/features/groups/world.ts";
import { SeededRandom } from "../../control/features/seeded-random.ts";
import type { Holiday, SignalRow } from "../../control/ingest/covariates/dated-csv.ts";
import type { Visit } from "../../control/ingest/covariates/route-visits.ts";
import type { Case } from "./case.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A Monday. */
const START_MS = Date.UTC(2024, 0, 1);

function daily(hour: number): number {
  return 1 + 0.5 * Math.sin((2 * Math.PI * (hour - 9)) / 24) + 0.15 * Math.sin((4 * Math.PI * (hour - 7)) / 24);
}

/** Multiplicative noise whose neighbours in time are alike. */
function noise(random: SeededRandom, spread: number, memory: number): () => number {
  let state = 0;
  return () => {
    state = memory * state + Math.sqrt(1 - memory * memory) * random.normal();
    return Math.exp(spread * state);
  };
}

/** 24 holidays a year at random: load ×0.45 then, ×1.2 the day before; weekends ×0.6. */
export function holidayWorld(): Case {
  const random = new SeededRandom(101);
  const days = 900;
  const off = new Set<number>();
  while (off.size < Math.round((24 * days) / 365)) off.add(random.integer(20, days - 1));
  const holidays: Holiday[] = [...off]
    .sort((a, b) => a - b)
    .map((day) => ({
      date: new Date(START_MS + day * DAY_MS).toISOString().slice(0, 10),
      name: `holiday ${day}`,
      knownAtMs: 0,
    }));
  const wobble = noise(random, 0.05, 0.9);
  const values = Float64Array.from({ length: 24 * days }, (_, t) => {
    const day = Math.floor(t / 24);
    const weekend = (day + 1) % 7 === 0 || (day + 2) % 7 === 0 ? 0.6 : 1;
    const holiday = off.has(day) ? 0.45 : off.has(day + 1) ? 1.2 : 1;
    return 200 * daily(t % 24) * weekend * holiday * wobble();
  });
  return {
    name: "holidays",
    kind: "world",
    about: "hourly, 900 days; weekends ×0.6, 24 holidays a year ×0.45, their eves ×1.2",
    groups: ["calendar"],
    shape: { season: 24, horizon: 6 },
    world: { stepMs: HOUR_MS, holidays, loads: new Map([["shop", { startMs: START_MS, values }]]) },
    services: ["shop"],
  };
}

/** A caller's surges reach what it calls three to five steps later, at 0.8 of their height. */
export function couplingWorld(): Case {
  const random = new SeededRandom(102);
  const stepMs = 300_000;
  const steps = 288 * 30;
  const surge = new Float64Array(steps);
  for (let t = 300; t < steps; t += random.integer(20, 160)) {
    const height = random.uniform(0.3, 1.2);
    const length = random.integer(6, 30);
    for (let k = 0; k < length && t + k < steps; k++)
      surge[t + k]! += height * Math.sin((Math.PI * (k + 0.5)) / length);
  }
  const load = (lag: number, share: number): Load => {
    const wobble = noise(random, 0.04, 0.8);
    const values = Float64Array.from({ length: steps }, (_, t) => {
      const later =
        lag === 0 ? surge[t]! : ((surge[t - lag] ?? 0) + (surge[t - lag - 1] ?? 0) + (surge[t - lag - 2] ?? 0)) / 3;
      return 100 * daily(((t % 288) / 288) * 24) * (1 + share * later) * wobble();
    });
    return { startMs: START_MS, values };
  };
  const loads = new Map([
    ["web", load(0, 1)],
    ["pay", load(3, 0.8)],
  ]);
  const neighbours = new Map([
    ["web", [{ service: "pay", weight: 1 }]],
    ["pay", [{ service: "web", weight: 1 }]],
  ]);
  return {
    name: "caller and callee",
    kind: "world",
    about: "5 min, 30 days; the caller's surges reach the callee 15–25 min later at 0.8 of their height",
    groups: ["coupling", "velocity"],
    shape: { season: 288, horizon: 6 },
    world: { stepMs, loads, neighbours },
    services: ["pay"],
  };
}

/** Planned changes take 0.5 of the load away for two hours, incidents 0.6 for as long as they last, and 0.25 comes back on top afterwards. */
export function changeWorld(): Case {
  const random = new SeededRandom(103);
  const stepMs = 900_000;
  const steps = 96 * 120;
  const windows: ServiceWindow[] = [];
  for (let at = 96 * 3; at < steps - 40; at += random.integer(30, 140)) {
    const startMs = START_MS + at * stepMs;
    if (random.next() < 0.5) {
      const knownAtMs = startMs - 3 * DAY_MS;
      windows.push({
        kind: "change",
        startMs,
        endMs: startMs + 8 * stepMs,
        share: 0.5,
        knownAtMs,
        endKnownAtMs: knownAtMs,
      });
    } else {
      const endMs = startMs + random.integer(3, 20) * stepMs;
      windows.push({ kind: "incident", startMs, endMs, share: 0.6, knownAtMs: startMs, endKnownAtMs: endMs });
    }
  }
  const wobble = noise(random, 0.05, 0.8);
  const values = Float64Array.from({ length: steps }, (_, t) => {
    const ms = START_MS + t * stepMs;
    let factor = 1;
    for (const { startMs, endMs, share } of windows) {
      if (startMs <= ms && ms < endMs) factor *= 1 - share;
      if (endMs <= ms && ms < endMs + 2 * stepMs) factor *= 1.25;
    }
    return 150 * daily(((t % 96) / 96) * 24) * factor * wobble();
  });
  return {
    name: "changes and incidents",
    kind: "world",
    about:
      "15 min, 120 days; planned changes take 0.5 for 2 h, incidents 0.6 until resolved, a rebound of 0.25 follows",
    groups: ["change"],
    shape: { season: 96, horizon: 6 },
    world: { stepMs, loads: new Map([["pay", { startMs: START_MS, values }]]), windows: new Map([["pay", windows]]) },
    services: ["pay"],
  };
}

/** Flash crowds that grow along a logistic curve; how fast they grow at first says how high they will rise. */
export function crowdWorld(): Case {
  const random = new SeededRandom(104);
  const stepMs = 300_000;
  const steps = 288 * 40;
  const crowd = new Float64Array(steps);
  for (let t = 300; t < steps; t += random.integer(40, 260)) {
    const height = Math.exp(random.uniform(-1.5, 1.5));
    const middle = random.integer(6, 14);
    const pace = random.uniform(0.35, 0.9);
    for (let k = 0; k < 80 && t + k < steps; k++)
      crowd[t + k]! += (height / (1 + Math.exp(-pace * (k - middle)))) * Math.exp(-Math.max(0, k - 2 * middle) / 15);
  }
  const wobble = noise(random, 0.03, 0.6);
  const values = Float64Array.from(
    { length: steps },
    (_, t) => 80 * (daily(((t % 288) / 288) * 24) + crowd[t]!) * wobble(),
  );
  return {
    name: "flash crowds",
    kind: "world",
    about: "5 min, 40 days; crowds along logistic curves, 0.2 to 4.5 times the base, at random times",
    groups: ["velocity"],
    shape: { season: 288, horizon: 12 },
    world: { stepMs, loads: new Map([["live", { startMs: START_MS, values }]]) },
    services: ["live"],
  };
}

/** Clients browse, read or fill a basket; a basket is paid fifteen to thirty minutes later, with six requests. */
export function basketWorld(days = 14): Case {
  const random = new SeededRandom(105);
  const stepMs = 300_000;
  const steps = 288 * days;
  const endMs = START_MS + steps * stepMs;
  const visits: Visit[] = [];
  const payments = new Float64Array(steps);
  let mood = 0;
  let client = 0;
  for (let t = 0; t < steps; t++) {
    mood = 0.985 * mood + 0.17 * random.normal();
    const buying = 0.35 / (1 + Math.exp(-1.6 * mood));
    const arrivals = poisson(9 * daily(((t % 288) / 288) * 24), random);
    for (let a = 0; a < arrivals; a++) {
      client++;
      const buys = random.next() < buying;
      let atMs = START_MS + t * stepMs + random.uniform(0, stepMs);
      const routes = [
        "/",
        ...Array.from({ length: 4 }, () =>
          buys ? `/basket/${random.integer(1, 9)}` : `/read/${random.integer(1, 24)}`,
        ),
      ];
      for (const route of routes) {
        if (atMs < endMs) visits.push({ atMs, client: `c${client}`, route });
        atMs += random.uniform(5_000, 50_000);
      }
      const paid = Math.floor((atMs - START_MS) / stepMs) + random.integer(3, 6);
      if (buys && paid < steps) payments[paid]! += 6;
    }
  }
  visits.sort((a, b) => a.atMs - b.atMs);
  const web = new Float64Array(steps);
  for (const { atMs } of visits) web[Math.floor((atMs - START_MS) / stepMs)]!++;
  return {
    name: "baskets",
    kind: "world",
    about: `5 min, ${days} days; the share of clients who fill a basket wanders, a basket is paid 15–30 min later`,
    groups: ["behaviour", "coupling"],
    shape: { season: 288, horizon: 6 },
    world: {
      stepMs,
      loads: new Map([
        ["pay", { startMs: START_MS, values: payments }],
        ["web", { startMs: START_MS, values: web }],
      ]),
      neighbours: new Map([["pay", [{ service: "web", weight: 1 }]]]),
      visits: new Map([["web", visits]]),
    },
    services: ["pay"],
  };
}

/**
 * Premieres at the weekly rhythm and with the viewers of `got_episodes_facts.csv`, a video service's load rising with them. Seasons follow
 * each other after six weeks, so that 73 episodes fill two and a half years. The date is known a year ahead, the viewers a day after.
 */
export function premiereWorld(sharedData: string): Case {
  const text = readFileSync(join(sharedData, "behaviour/got_episodes_facts.csv"), "utf8").trim();
  const episodes = text
    .split("\n")
    .slice(1)
    .map((line) => {
      const cells = line.split(",");
      return { season: Number(cells[0]), viewers: Number(cells[5]) };
    });
  const random = new SeededRandom(106);
  const first = START_MS + 21 * DAY_MS + 6 * DAY_MS + 21 * HOUR_MS;
  const rows: SignalRow[] = [];
  let week = 0;
  const premieres: { atMs: number; viewers: number }[] = [];
  for (const [i, { season, viewers }] of episodes.entries()) {
    if (i > 0) week += season === episodes[i - 1]!.season ? 1 : 6;
    const atMs = first + week * 7 * DAY_MS;
    premieres.push({ atMs, viewers });
    const span = { service: null, startMs: atMs, endMs: atMs + 3 * HOUR_MS };
    rows.push({ ...span, signal: "premiere", value: 1, knownAtMs: atMs - 365 * DAY_MS });
    rows.push({ ...span, signal: "viewers", value: viewers, knownAtMs: atMs + DAY_MS });
  }
  const steps = Math.round((premieres.at(-1)!.atMs - START_MS) / HOUR_MS) + 48;
  const wobble = noise(random, 0.05, 0.8);
  const values = Float64Array.from({ length: steps }, (_, t) => 100 * daily(t % 24) * wobble());
  for (const { atMs, viewers } of premieres) {
    const at = Math.round((atMs - START_MS) / HOUR_MS);
    for (const [k, share] of [0.2, 1, 0.8, 0.3].entries())
      if (at - 1 + k < steps) values[at - 1 + k]! += 60 * viewers * share;
  }
  return {
    name: "weekly premieres",
    kind: "world",
    about: "hourly; peaks at 73 premieres in seasons, in proportion to their published viewers (2.2 to 13.6 million)",
    groups: ["signals", "calendar"],
    shape: { season: 24, horizon: 12 },
    world: { stepMs: HOUR_MS, signals: rows, loads: new Map([["video", { startMs: START_MS, values }]]) },
    services: ["video"],
  };
}

function poisson(mean: number, random: SeededRandom): number {
  let sum = 0;
  for (let count = 0; ; count++) {
    sum -= Math.log(1 - random.next());
    if (sum > mean) return count;
  }
}
