import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { FEATURE_STEP_MS } from "../features/schema.ts";
import { type SyntheticLoadOptions, syntheticLoad } from "../features/synthetic-load.ts";
import { LoadHistory } from "../ingest/load-history.ts";
import type { DemandForecast } from "./forecast.ts";
import { type Forecaster, type ForecasterOptions, openForecaster } from "./forecaster.ts";

/** Folder of the demo's model. */
export const committed = fileURLToPath(new URL("../../models/committed/demand", import.meta.url));
const log = { info: () => undefined, warn: () => undefined };
/** Gone after the tests of the file that imports this, as are the forecasters that `open` opened. */
export const scratch = await mkdtemp(join(tmpdir(), "ballast-forecast-"));
const opened: Forecaster[] = [];

after(async () => {
  for (const forecaster of opened) forecaster.close();
  await rm(scratch, { recursive: true, force: true });
});

/** By default around the demo's model. */
export async function open(options: Partial<ForecasterOptions> = {}): Promise<Forecaster> {
  const forecaster = await openForecaster({ modelDir: committed, log, ...options });
  opened.push(forecaster);
  return forecaster;
}

/** A day's rhythm and noise per service, `s0`, `s1`, …, in five-minute steps. */
export function historyOf(...all: SyntheticLoadOptions[]): { history: LoadHistory; endMs: number } {
  const history = new LoadHistory({ stepMs: FEATURE_STEP_MS });
  let endMs = 0;
  all.forEach((options, n) => {
    const { startMs, values } = syntheticLoad(options);
    values.forEach((value, i) => {
      history.append(`s${n}`, startMs + i * FEATURE_STEP_MS, value);
    });
    endMs = startMs + values.length * FEATURE_STEP_MS;
  });
  return { history, endMs };
}

/** The forecast of one service, whose levels are finite and in order. */
export async function one(
  forecaster: Forecaster,
  history: LoadHistory,
  nowMs: number,
  service = "s0",
): Promise<DemandForecast> {
  const forecast = (await forecaster.forecast(history, [service], nowMs)).get(service);
  assert.ok(forecast !== undefined);
  for (const [level, row] of forecast.values.rows().entries()) {
    row.forEach((value, h) => {
      assert.ok(Number.isFinite(value) && value >= 0);
      if (level > 0) assert.ok(value >= forecast.values.at(level - 1, h));
    });
  }
  return forecast;
}
