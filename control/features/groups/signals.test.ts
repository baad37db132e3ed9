import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SignalRow } from "../../ingest/covariates/dated-csv.ts";
import { empty, HOUR_MS, START_MS, said } from "./groups.fixture.ts";
import { signals } from "./signals.ts";

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
