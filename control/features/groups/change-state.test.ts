import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { changeState } from "./change-state.ts";
import { DAY_MS, empty, HOUR_MS, START_MS, said } from "./groups.fixture.ts";
import type { ServiceWindow, World } from "./world.ts";

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
