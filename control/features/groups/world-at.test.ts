import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Holiday, SignalRow } from "../../ingest/covariates/dated-csv.ts";
import { columnsOf, firstAt, type VisitColumns } from "../../ingest/covariates/visit-columns.ts";
import { SeededRandom } from "../seeded-random.ts";
import { Past } from "../series/past.ts";
import { fitGroups, GroupedInputs, groupNeeds } from "./grouped-inputs.ts";
import { all, DAY_MS, HOUR_MS, START_MS, STEPS, shape, values, wholeWorld } from "./groups.fixture.ts";
import { ScaledLoad } from "./load-moves.ts";
import type { ServiceWindow, World } from "./world.ts";
import { WorldAt } from "./world-at.ts";

const SERVICES = ["api", "web", "db"];

/** Everything that can be known, of every age and span, much of it at the same times. */
function crowded(seed: number): World {
  const random = new SeededRandom(seed);
  const hours = (from: number, to: number): number => START_MS + random.integer(from, to) * HOUR_MS;
  const span = (longest: number) => {
    const startMs = hours(-100, STEPS);
    return { startMs, endMs: startMs + random.integer(1, longest) * HOUR_MS };
  };
  const window = (): ServiceWindow => {
    const { startMs, endMs } = span(60);
    const kind = (["change", "incident", "freeze", "maintenance"] as const)[random.integer(0, 3)]!;
    const knownAtMs = startMs - random.integer(0, 30) * HOUR_MS;
    return {
      kind,
      startMs,
      endMs,
      share: random.integer(0, 10) / 10,
      knownAtMs,
      endKnownAtMs: random.integer(0, 1) ? knownAtMs : endMs,
    };
  };
  const signal = (): SignalRow => {
    const times = span(40);
    const service = ([null, ...SERVICES] as const)[random.integer(0, 3)]!;
    const knownAtMs = times.startMs + random.integer(-200, 50) * HOUR_MS;
    return { signal: `s${random.integer(0, 2)}`, service, ...times, value: random.normal(), knownAtMs };
  };
  const holiday = (): Holiday => ({
    date: new Date(hours(0, STEPS)).toISOString().slice(0, 10),
    name: "h",
    knownAtMs: hours(-500, STEPS),
  });
  const many = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
  return {
    ...wholeWorld(),
    holidays: many(8, holiday),
    signals: many(120, signal),
    windows: new Map(SERVICES.map((name) => [name, many(60, window)])),
    loads: new Map(
      SERVICES.map((name, k) => [
        name,
        {
          startMs: START_MS,
          values: values.map((value, t) => (t % 31 === k ? Number.NaN : value * (k + 1) + 5 * random.normal())),
        },
      ]),
    ),
    neighbours: new Map(
      SERVICES.map((name) => [
        name,
        SERVICES.filter((other) => other !== name).map((service, k) => ({ service, weight: 1 / (k + 1) })),
      ]),
    ),
    visits: new Map(
      SERVICES.map((name) => [
        name,
        many(3_000, () => ({
          atMs: START_MS + random.integer(0, STEPS * 60) * 60_000,
          client: `c${random.integer(0, 30)}`,
          route: `/r${random.integer(0, 9)}`,
        })).sort((a, b) => a.atMs - b.atMs),
      ]),
    ),
  };
}

describe("the world as one origin sees it", () => {
  const world = crowded(7);
  const fitted = fitGroups(all, world, START_MS + STEPS * HOUR_MS);
  const needed = new Set(groupNeeds(fitted).flatMap(({ needs }) => needs));
  const inputs = new GroupedInputs(shape, fitted);
  const past = new Past(values, shape.season);
  const columns = new Map([...world.visits!].map(([name, visits]) => [name, columnsOf(visits)]));
  const piece = (name: string, fromMs: number, toMs: number): VisitColumns => {
    const own = columns.get(name)!;
    const [from, to] = [firstAt(own, fromMs), firstAt(own, toMs)];
    return { atMs: own.atMs.slice(from, to), clients: own.clients.slice(from, to), routes: own.routes.slice(from, to) };
  };
  const at = (originMs: number) => {
    const origin = { originMs, ...shape, stepMs: HOUR_MS };
    return new WorldAt(
      {
        neighbours: world.neighbours!,
        windows: world.windows!,
        holidays: world.holidays!,
        signals: world.signals!,
        visits: piece,
        moves: (name) => {
          const load = world.loads!.get(name);
          return load === undefined ? undefined : new ScaledLoad(load).movesAt(origin);
        },
      },
      origin,
      needed,
    );
  };

  test("gives every group, bit for bit, what the whole world does, also after it crossed to another thread", () => {
    const random = new SeededRandom(11);
    for (let i = 0; i < 60; i++) {
      const origin = random.integer(100, STEPS - 1);
      const cut = structuredClone(at(START_MS + origin * HOUR_MS).of(SERVICES));
      for (const service of SERVICES) {
        const [mine, whole] = [cut, world].map((one) => inputs.prepare(past, START_MS, service, one).at(origin));
        assert.deepEqual(mine, whole, `${service} at step ${origin}`);
      }
    }
  });

  test("is a small part of it, and holds nothing that was not known", () => {
    const originMs = START_MS + 400 * HOUR_MS;
    const cut = at(originMs).of(["api"]);
    assert.deepEqual([...cut.windows!.keys()], ["api"]);
    assert.ok(cut.windows!.get("api")!.length < 30 && cut.signals!.length < 60);
    for (const { knownAtMs } of [...cut.windows!.get("api")!, ...cut.signals!, ...cut.holidays!])
      assert.ok(knownAtMs <= originMs);
    for (const { atMs } of cut.visitColumns!.values())
      assert.ok(atMs.every((ms) => ms < originMs && ms > originMs - DAY_MS));
    assert.equal(cut.loads, undefined);
    assert.deepEqual(
      Object.keys(new WorldAt({} as never, { originMs, ...shape, stepMs: HOUR_MS }, new Set()).of(["api"])),
      ["stepMs"],
    );
  });
});
