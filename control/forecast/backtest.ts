import { HORIZON_STEPS } from "../features/schema.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import { lastValue, seasonalNaive } from "./fallback-baselines.ts";
import type { ForecastSource } from "./forecast.ts";
import { DEFAULT_LEVELS, type Forecaster } from "./forecaster.ts";
import { ScoreBoard, type Scores, seasonalScale } from "./scores/metrics.ts";

export interface BacktestOptions {
  services: readonly string[];
  /** Origins lie in [fromMs, toMs − horizon], ms since the Unix epoch. History from `fromMs` on is never used for scaling. */
  fromMs: number;
  toMs: number;
  /** Steps between origins. Default one horizon, so that every step is scored once. */
  everySteps?: number;
  /** Called after each origin with the number done and in all. */
  onOrigin?: (done: number, of: number) => void;
}

/** What is scored, by the names of a manifest. */
const ROWS = ["model", "seasonal_naive_weekly", "seasonal_naive_daily", "last"] as const;
type Row = (typeof ROWS)[number];

export interface BacktestResult {
  everySteps: number;
  /** Season of the MASE denominator, in steps: one day, whatever season a baseline uses. */
  seasonSteps: number;
  /** What answered most of the forecasts called `model` here. */
  source: ForecastSource;
  scores: Record<Row, Scores>;
}

/**
 * Rolling origins: at each one the forecaster and the baselines see only the steps before it, and are scored on the
 * steps after it that were observed. All are scored on the same steps: those for which every one of them answered.
 */
export async function backtest(
  forecaster: Forecaster,
  history: LoadHistory,
  options: BacktestOptions,
): Promise<BacktestResult> {
  const { stepMs } = history;
  const { services, fromMs, toMs, everySteps = HORIZON_STEPS } = options;
  const stepsPerDay = Math.round(86_400_000 / stepMs);
  const first = Math.ceil(fromMs / stepMs) * stepMs;
  const origins: number[] = [];
  for (let at = first; at + HORIZON_STEPS * stepMs <= toMs; at += everySteps * stepMs) origins.push(at);
  const scales = new Map(
    services.map((service) => [service, seasonalScale(history.tail(service, first, history.maxSteps), stepsPerDay)]),
  );
  let boards: Record<Row, ScoreBoard> | null = null;
  const sources = new Map<ForecastSource, number>();
  for (const [done, at] of origins.entries()) {
    const forecasts = await forecaster.forecast(history, services, at);
    for (const [service, forecast] of forecasts) {
      const { levels } = forecast;
      boards ??= ofRows(() => new ScoreBoard(levels));
      sources.set(forecast.source, (sources.get(forecast.source) ?? 0) + 1);
      const tail = history.tail(service, at, Math.min(history.maxSteps, 35 * stepsPerDay));
      const answers = {
        model: forecast.values.rows(),
        seasonal_naive_weekly: seasonalNaive(tail, 7 * stepsPerDay, HORIZON_STEPS, levels, stepsPerDay),
        seasonal_naive_daily: seasonalNaive(tail, stepsPerDay, HORIZON_STEPS, levels, stepsPerDay),
        last: lastValue(tail, HORIZON_STEPS, levels, stepsPerDay),
      };
      if (Object.values(answers).some((answer) => typeof answer === "string")) continue;
      const scale = scales.get(service)!;
      const observed = history.tail(service, at + HORIZON_STEPS * stepMs, HORIZON_STEPS);
      for (const name of ROWS) {
        const values = answers[name] as readonly Float64Array[];
        const levelsAt = (h: number): number[] => values.map((level) => level[h]!);
        for (const [h, y] of observed.entries()) boards[name].add(service, scale, y, levelsAt(h));
      }
    }
    options.onOrigin?.(done + 1, origins.length);
  }
  const scored = boards ?? ofRows(() => new ScoreBoard(DEFAULT_LEVELS));
  return {
    everySteps,
    seasonSteps: stepsPerDay,
    source: [...sources].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "none",
    scores: ofRows((name) => scored[name].scores()),
  };
}

function ofRows<T>(make: (name: Row) => T): Record<Row, T> {
  return Object.fromEntries(ROWS.map((name) => [name, make(name)])) as Record<Row, T>;
}
