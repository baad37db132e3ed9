import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findLeak, inputSource } from "../series/training-examples.ts";
import { behaviour } from "./behaviour.ts";
import { type CalendarParameters, calendar } from "./calendar.ts";
import { changeState } from "./change-state.ts";
import { coupling } from "./coupling.ts";
import type { FeatureGroup } from "./group.ts";
import { groupedSource } from "./grouped-source.ts";
import { fitToMs, series, shape, spans, starts, wholeWorld } from "./groups.fixture.ts";
import { signals } from "./signals.ts";
import type { World } from "./world.ts";

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
