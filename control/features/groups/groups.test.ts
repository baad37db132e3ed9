import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { SeededRandom } from "../seeded-random.ts";
import { Past } from "../series/past.ts";
import { SeriesFeatureBuilder } from "../series/series-features.ts";
import { CONTEXT_CHANNELS, SERIES_FEATURES, seriesSchemaHash } from "../series/shape.ts";
import { findLeak, inputSource, splitSpans, type TrainingSeries } from "../series/training-examples.ts";
import { behaviour } from "./behaviour.ts";
import { type CalendarParameters, calendar } from "./calendar.ts";
import { changeState } from "./change-state.ts";
import { DEFAULT_GROUPS, isOnByDefault, MEASURED, possibleGroups, type Worth } from "./choose-groups.ts";
import { coupling } from "./coupling.ts";
import type { FeatureGroup } from "./group.ts";
import { fitGroups, GROUPS, GroupedInputs, groupColumns, groupedSchemaHash, groupNeeds } from "./grouped-inputs.ts";
import { groupedSource } from "./grouped-source.ts";
import { embedRoutes } from "./route-embedding.ts";
import { signals } from "./signals.ts";
import { velocity } from "./velocity.ts";
import type { ServiceWindow, SignalRow, Visit, World } from "./world.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const shape = { season: 24, horizon: 6 };
/** A Monday. */
const START_MS = Date.UTC(2026, 2, 2);
const STEPS = 700;

const random = new SeededRandom(3);
const values = Float64Array.from(
  { length: STEPS },
  (_, t) => 100 + 20 * Math.sin((2 * Math.PI * t) / 24) + random.normal(),
);

/** Columns of one group at an origin and horizon step, by name. */
function said(group: FeatureGroup, world: World, originMs: number, h = 0, service = "api"): Record<string, number> {
  const parameters = group.fit(world, START_MS + STEPS * HOUR_MS);
  const columns = group.columns(parameters);
  const row = new Float32Array(columns.length);
  const origin = (originMs - START_MS) / HOUR_MS;
  const about = { originMs, past: new Past(values, 24), origin, ...shape, stepMs: HOUR_MS, scale: 10 };
  group.prepare(parameters, world, service)(about)(h, row, 0);
  return Object.fromEntries(columns.map(({ name }, i) => [name, row[i]!]));
}

const empty: World = { stepMs: HOUR_MS };

describe("the calendar", () => {
  const holidays = [{ date: "2026-03-11", name: "Founders' day", knownAtMs: START_MS }];

  test("says the weekday and the hour of the zone, across a change of its clocks", () => {
    const world = { ...empty, timeZone: "Europe/Berlin" };
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 8, 22)).calendar_weekday, 0);
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 8, 23)).calendar_weekday, 1);
    // Summer time since the 29th: 22:00 UTC is midnight.
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 29, 22)).calendar_weekday, 1);
    assert.ok(said(calendar, world, Date.UTC(2026, 2, 29, 22)).calendar_hour_cos! > 0.999);
  });

  test("knows a holiday, the days to and since it, and what day the repeated cycle was", () => {
    const world = { ...empty, holidays };
    const on = said(calendar, world, Date.UTC(2026, 2, 11, 9));
    assert.deepEqual([on.calendar_holiday, on.calendar_day_off, on.calendar_cycle_holiday], [1, 1, 0]);
    const after = said(calendar, world, Date.UTC(2026, 2, 12, 9));
    assert.deepEqual(
      [after.calendar_holiday, after.calendar_cycle_holiday, after.calendar_days_since_holiday],
      [0, 1, 1],
    );
    const before = said(calendar, world, Date.UTC(2026, 2, 9, 9));
    assert.deepEqual([before.calendar_days_to_holiday, before.calendar_cycle_day_off], [2, 1]);
    // The horizon crosses midnight.
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 10, 22), 3).calendar_holiday, 1);
  });

  test("does not know a holiday before it was declared", () => {
    const declared = [{ ...holidays[0]!, knownAtMs: Date.UTC(2026, 2, 10, 12) }];
    const world = { ...empty, holidays: declared };
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 10, 11), 20).calendar_holiday, 0);
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 10, 12), 20).calendar_holiday, 1);
  });
});

describe("coupling", () => {
  const load = (raise: (t: number) => number) => ({
    startMs: START_MS,
    values: Float64Array.from(values, (value, t) => 3 * value + raise(t)),
  });
  const world = (raise: (t: number) => number): World => ({
    ...empty,
    loads: new Map([["web", load(raise)]]),
    neighbours: new Map([
      [
        "api",
        [
          { service: "web", weight: 0.5 },
          { service: "gone", weight: 1 },
        ],
      ],
    ]),
  });

  test("tells of a neighbour's surge in the neighbour's own unit, once its step has ended", () => {
    const at = 300;
    const calm = said(
      coupling,
      world(() => 0),
      START_MS + at * HOUR_MS,
    );
    const surge = said(
      coupling,
      world((t) => (t >= at - 2 && t < at ? 150 : 0)),
      START_MS + at * HOUR_MS,
    );
    assert.ok(Math.abs(calm.coupling_residual_1!) < 3);
    assert.ok(surge.coupling_residual_1! > 15 && surge.coupling_rise! > 5, JSON.stringify(surge));
    const later = said(
      coupling,
      world((t) => (t >= at ? 150 : 0)),
      START_MS + at * HOUR_MS,
    );
    assert.deepEqual(later, calm);
  });

  test("says nought without neighbours or readings", () => {
    assert.ok(Object.values(said(coupling, empty, START_MS + 300 * HOUR_MS)).every((value) => value === 0));
  });
});

describe("the state of changes", () => {
  const t0 = START_MS + 300 * HOUR_MS;
  const window = (more: Partial<ServiceWindow>): ServiceWindow => ({
    kind: "change",
    startMs: t0 + 2 * HOUR_MS,
    endMs: t0 + 4 * HOUR_MS,
    share: 0.5,
    knownAtMs: START_MS,
    endKnownAtMs: START_MS,
    ...more,
  });
  const world = (...windows: ServiceWindow[]): World => ({ ...empty, windows: new Map([["api", windows]]) });

  test("a planned change is known ahead, and two that overlap leave what each leaves", () => {
    assert.equal(said(changeState, world(window({})), t0, 1).change_share, 0);
    assert.equal(said(changeState, world(window({})), t0, 1).change_hours_to, 1);
    assert.equal(said(changeState, world(window({})), t0, 2).change_share, 0.5);
    assert.equal(said(changeState, world(window({}), window({})), t0, 2).change_share, 0.75);
    assert.equal(said(changeState, world(window({})), t0 + DAY_MS, 2).change_cycle_share, 0.5);
  });

  test("a change that was not filed yet is not known", () => {
    assert.equal(said(changeState, world(window({ knownAtMs: t0 + 1 })), t0, 2).change_share, 0);
  });

  test("an open incident holds for the whole horizon, whenever it ends by its ticket", () => {
    const incident = window({
      kind: "incident",
      startMs: t0 - HOUR_MS,
      endMs: t0 + HOUR_MS,
      endKnownAtMs: t0 + HOUR_MS,
    });
    const open = said(changeState, world(incident), t0, 5);
    assert.deepEqual([open.change_incident_share, open.change_incident_hours], [0.5, 1]);
    assert.equal(said(changeState, world(incident), t0 + 2 * HOUR_MS, 0).change_incident_share, 0);
  });
});

describe("velocity", () => {
  test("is that of the load beyond what the season does, and scales with the unit", () => {
    const at = START_MS + 300 * HOUR_MS;
    const one = said(velocity, empty, at);
    const [last, before] = [values[299]!, values[298]!];
    assert.ok(Math.abs(one.velocity_1! - (last - before) / 10) < 1e-5);
    assert.ok(Math.abs(one.velocity_acceleration_1! - (last - 2 * before + values[297]!) / 10) < 1e-5);
    assert.ok(Math.abs(one.velocity_excess_1! - (last - before - (values[275]! - values[274]!)) / 10) < 1e-5);
  });
});

/** Two kinds of clients, who never visit each other's routes, and one page that all visit. */
function twoCrowds(): Visit[] {
  const draw = new SeededRandom(4);
  const visits: Visit[] = [];
  for (let client = 0; client < 300; client++) {
    const word = client % 2 === 0 ? "buy" : "read";
    for (let k = 0; k < 6; k++) {
      const route = k === 0 ? "/" : `/${word}/${draw.integer(1, 12)}`;
      visits.push({ atMs: START_MS + client * 4 * 60_000 + k * 60_000, client: `c${client}`, route });
    }
  }
  return visits.sort((a, b) => a.atMs - b.atMs);
}

describe("route embeddings", () => {
  const embedding = embedRoutes(twoCrowds());
  const vector = (route: string) => embedding.vectors[embedding.routes.indexOf(route)]!;
  const cosine = (a: number[], b: number[]) =>
    a.reduce((sum, x, i) => sum + x * b[i]!, 0) / Math.hypot(...a) / Math.hypot(...b);

  test("lie near each other for routes of the same sessions and apart for others", () => {
    const nearness = (one: string, other: string): number => {
      let sum = 0;
      for (let i = 2; i <= 12; i++) sum += cosine(vector(`/${one}/1`), vector(`/${other}/${i}`)) / 11;
      return sum;
    };
    assert.ok(nearness("buy", "buy") > nearness("buy", "read") + 0.3);
    assert.ok(nearness("read", "read") > nearness("read", "buy") + 0.3);
    assert.equal(embedding.idf[embedding.routes.indexOf("/")], 0);
  });

  test("are the same numbers for the same visits, and leave out a route of few clients", () => {
    assert.deepEqual(embedRoutes(twoCrowds()), embedding);
    const rare = { atMs: START_MS + 100 * HOUR_MS, client: "c1", route: "/users/jane" };
    assert.ok(!embedRoutes([...twoCrowds(), rare]).routes.includes("/users/jane"));
    assert.deepEqual(embedRoutes([]), { routes: [], idf: [], vectors: [] });
  });

  test("the mix of a service moves when its clients do something else", () => {
    const visits = twoCrowds();
    const world = { ...empty, visits: new Map([["api", visits]]) };
    const mix = (originMs: number) => {
      const all = said(behaviour, world, originMs);
      return Object.entries(all)
        .filter(([name]) => name.startsWith("behaviour_mix"))
        .map(([, value]) => value);
    };
    assert.ok(mix(START_MS + 10 * HOUR_MS).some((value) => value !== 0));
    assert.ok(mix(START_MS + 300 * HOUR_MS).every((value) => value === 0));
    const moved = said(behaviour, world, START_MS + 21 * HOUR_MS);
    assert.ok(moved.behaviour_clients! < 0);
  });
});

describe("external signals", () => {
  const t0 = START_MS + 300 * HOUR_MS;
  const row = (more: Partial<SignalRow>): SignalRow => ({
    signal: "premiere",
    service: null,
    startMs: t0 + 2 * HOUR_MS,
    endMs: t0 + 3 * HOUR_MS,
    value: 1,
    knownAtMs: START_MS,
    ...more,
  });
  const say = (rows: SignalRow[], originMs: number, h: number) =>
    said(signals, { ...empty, signals: rows }, originMs, h);

  test("a date known in advance is there at its step, and what became known late only afterwards", () => {
    const viewers = row({ signal: "viewers", value: 6.6, knownAtMs: t0 + 20 * HOUR_MS });
    const rows = [row({}), viewers];
    const ahead = say(rows, t0, 2);
    assert.deepEqual([ahead.signal_premiere_ahead, ahead.signal_viewers_ahead, ahead.signal_viewers_last], [1, 0, 0]);
    assert.equal(say(rows, t0 + 10 * HOUR_MS, 0).signal_viewers_last, 0);
    const late = say(rows, t0 + 27 * HOUR_MS, 0);
    assert.ok(Math.abs(late.signal_viewers_last! - 6.6) < 1e-6);
    assert.equal(late.signal_viewers_last_days, 1);
    assert.equal(say(rows, t0 + 26 * HOUR_MS, 0).signal_premiere_cycle, 1);
  });

  test("a signal of another service says nothing", () => {
    assert.equal(say([row({ service: "other" })], t0, 2).signal_premiere_ahead, 0);
  });
});

/** Everything at once. */
function wholeWorld(): World {
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

const series: TrainingSeries = { name: "api", values };
const spans = splitSpans(shape, STEPS)!;
const starts = new Map([["api", START_MS]]);
const fitToMs = START_MS + spans.train[1] * HOUR_MS;
const all = GROUPS;

describe("inputs with groups", () => {
  test("without a group are, bit for bit, those of the series alone, under the same hash", () => {
    const past = new Past(values, shape.season);
    const plain = new SeriesFeatureBuilder(shape).at(past, 400);
    assert.deepEqual(new GroupedInputs(shape, []).prepare(past, START_MS, "api", wholeWorld()).at(400), plain);
    assert.equal(groupedSchemaHash(shape, []), seriesSchemaHash(shape));
  });

  test("stand behind those of the series, for trees and network, each under one name", () => {
    const fitted = fitGroups(all, wholeWorld(), fitToMs);
    const grouped = new GroupedInputs(shape, fitted);
    const past = new Past(values, shape.season);
    const inputs = grouped.prepare(past, START_MS, "api", wholeWorld()).at(400);
    const plain = new SeriesFeatureBuilder(shape).at(past, 400);
    const [own, width] = [SERIES_FEATURES.length, SERIES_FEATURES.length + grouped.columns.length];
    assert.equal(inputs.features.length, shape.horizon * width);
    assert.equal(inputs.context.length, shape.horizon * (CONTEXT_CHANNELS.length + grouped.columns.length));
    for (let h = 0; h < shape.horizon; h++)
      assert.deepEqual(inputs.features.slice(h * width, h * width + own), plain.features.slice(h * own, (h + 1) * own));
    assert.equal(new Set(grouped.columns.map(({ name }) => name)).size, grouped.columns.length);
    // As JSON, which is how a manifest carries it.
    const restored = new GroupedInputs(shape, JSON.parse(JSON.stringify(fitted)));
    assert.deepEqual(restored.prepare(past, START_MS, "api", wholeWorld()).at(400), inputs);
  });

  test("another group, version or fitted number is another schema", () => {
    const fitted = fitGroups(all, wholeWorld(), fitToMs);
    const hashes = [[], ...all.map((_, i) => fitted.slice(i, i + 1)), fitted].map((some) =>
      groupedSchemaHash(shape, some),
    );
    assert.equal(new Set(hashes).size, hashes.length);
    const changed = structuredClone(fitted);
    (changed[4]!.parameters as { idf: number[] }).idf[0]! += 0.5;
    assert.notEqual(groupedSchemaHash(shape, changed), groupedSchemaHash(shape, fitted));
    assert.throws(() => groupColumns([{ ...fitted[0]!, version: 99 }]), /no feature group calendar of version 99/);
  });

  test("of every group pass the search for leaks", () => {
    for (const group of all)
      assert.equal(
        findLeak(shape, series, spans, groupedSource(shape, [group], wholeWorld(), starts, fitToMs)),
        null,
        group.name,
      );
    assert.equal(findLeak(shape, series, spans, groupedSource(shape, all, wholeWorld(), starts, fitToMs)), null);
  });
});

describe("a planted leak is found:", () => {
  const leakOf = (group: FeatureGroup): string | null =>
    findLeak(shape, series, spans, groupedSource(shape, [group], wholeWorld(), starts, fitToMs));

  test("a value of the series' own future", () => {
    const source = inputSource(shape);
    const leaking = {
      ...source,
      prepare: (own: Float64Array, fitTo: number, about: { series: string }) => ({
        at: (origin: number) => {
          const inputs = source.prepare(own, fitTo, about).at(origin);
          inputs.features[5] = own[Math.min(own.length - 1, origin + 1)]!;
          return inputs;
        },
      }),
    };
    assert.match(findLeak(shape, series, spans, leaking)!, /feature profile_5 of api/);
  });

  test("a neighbour's load of a step that has not ended", () => {
    const leaking: FeatureGroup = {
      ...coupling,
      prepare: (parameters, world, service) => {
        const at = coupling.prepare(parameters, world, service);
        return (origin) => at({ ...origin, originMs: origin.originMs + origin.stepMs });
      },
    };
    assert.match(leakOf(leaking)!, /feature coupling_\w+ of api/);
  });

  test("a covariate that became known late", () => {
    const leaking = {
      ...signals,
      prepare: (parameters: { names: string[] }, world: World, service: string) =>
        signals.prepare(
          parameters,
          { ...world, signals: world.signals!.map((row) => ({ ...row, knownAtMs: 0 })) },
          service,
        ),
    };
    assert.match(leakOf(leaking)!, /feature signal_promo_\w+ of api/);
  });

  test("the end of an incident that was still open", () => {
    const leaking: FeatureGroup = {
      ...changeState,
      prepare: (parameters, world, service) => {
        const known = [...world.windows!.get(service)!].map((one) => ({ ...one, endKnownAtMs: 0, knownAtMs: 0 }));
        return changeState.prepare(parameters, { ...world, windows: new Map([[service, known]]) }, service);
      },
    };
    assert.match(leakOf(leaking)!, /feature change_\w+ of api/);
  });

  test("a holiday that was declared later", () => {
    const leaking: FeatureGroup = {
      ...calendar,
      prepare: (parameters, world, service) =>
        calendar.prepare(
          parameters as CalendarParameters,
          { ...world, holidays: world.holidays!.map((one) => ({ ...one, knownAtMs: 0 })) },
          service,
        ),
    };
    assert.match(leakOf(leaking)!, /feature calendar_\w+ of api/);
  });

  test("an embedding fitted on the whole span", () => {
    const leaking = { ...behaviour, fit: (world: World) => behaviour.fit(world, Number.POSITIVE_INFINITY) };
    assert.match(leakOf(leaking)!, /feature behaviour_\w+ of api/);
  });
});

describe("the default list", () => {
  const worth = (kind: Worth["kind"], low: number, high: number): Worth => ({
    group: "g",
    on: "x",
    kind,
    wqlPercent: (low + high) / 2,
    interval: [low, high],
  });

  test("holds a group that helped on found data, or only in its world where there is none, and hurt nowhere", () => {
    assert.equal(isOnByDefault("g", [worth("world", -9, -1)]), true);
    assert.equal(isOnByDefault("g", [worth("world", -9, -1), worth("found", -2, 1)]), false);
    assert.equal(isOnByDefault("g", [worth("world", -9, 1), worth("found", -2, -1)]), true);
    assert.equal(isOnByDefault("g", [worth("found", -2, -1), worth("world", 1, 3)]), false);
    assert.equal(isOnByDefault("g", []), false);
  });

  test("and the worth of each group are documented as they were measured, and every column is", async () => {
    const text = await readFile(new URL("../../../docs/reference/features.md", import.meta.url), "utf8");
    const signed = (n: number) => `${n > 0 ? "+" : n < 0 ? "−" : ""}${Math.abs(n).toFixed(1)}`;
    for (const { on, kind, wqlPercent, interval } of MEASURED) {
      const figures = `${signed(wqlPercent)} (${signed(interval[0])} … ${signed(interval[1])})`;
      assert.ok(text.includes(`| ${on} (${kind}) | ${figures} |`), `${on}: ${figures}`);
    }
    for (const { name } of GROUPS) {
      assert.ok(
        MEASURED.some(({ group }) => group === name),
        `${name} was not measured`,
      );
      assert.ok(text.includes(`| ${name} | ${DEFAULT_GROUPS.includes(name) ? "on" : "off"} |`), name);
    }
    for (const { name } of groupColumns(fitGroups(all, wholeWorld(), fitToMs)))
      assert.ok(text.includes(name.replace("signal_promo", "signal_NAME")) || /^behaviour_mix_/.test(name), name);
  });

  test("a model's needs are those of what it was fitted on", () => {
    assert.deepEqual(groupNeeds(fitGroups([calendar, velocity], empty, fitToMs)), []);
    assert.deepEqual(
      groupNeeds(fitGroups(all, wholeWorld(), fitToMs)).map(({ name }) => name),
      ["calendar", "coupling", "change", "behaviour", "signals"],
    );
  });

  test("only of groups that have data here", () => {
    const names = (world: World) => possibleGroups(world).map(({ name }) => name);
    assert.deepEqual(names(empty), ["calendar", "velocity"]);
    assert.deepEqual(
      names(wholeWorld()),
      GROUPS.map(({ name }) => name),
    );
  });
});
