import type { LoadReport } from "./load-messages.ts";
import type { TargetFigures } from "./tally.ts";

export interface DemoForecast {
  /** Which link of the chain answered last. */
  source: string;
  mase: number | null;
  seasonal_naive_mase: number | null;
}

/** What `ballast up --json` prints. Shares are 0 … 1; counts and shares are observed since the first activation. */
export interface DemoResult {
  services: Record<string, { targets: Record<string, TargetFigures> }>;
  epochs: { epoch: number; at_s: number; why: string }[];
  /** Seconds from the start of the command to the first answer over the steered route; null when there was none. */
  first_steered_s: number | null;
  sessions_moved: number;
  sessions_min_moved: number;
  slots_moved: number;
  slots_min_moved: number;
  errors_total: number;
  retries_total: number;
  requests_total: number;
  forecast: DemoForecast;
}

export function summarise(input: {
  report: LoadReport;
  epochs: DemoResult["epochs"];
  retries: number;
  forecast: DemoForecast | null;
}): DemoResult {
  const { report } = input;
  const totals = Object.entries(report.services).map(([name, { totals }]) => [name, totals] as const);
  const { moves, firstSteeredMs } = report;
  return {
    services: Object.fromEntries(totals.map(([name, { targets }]) => [name, { targets }])),
    epochs: input.epochs,
    first_steered_s:
      firstSteeredMs === null ? null : Number(((firstSteeredMs - performance.timeOrigin) / 1000).toFixed(2)),
    sessions_moved: moves.sessionsMoved,
    // Whole numbers unless some table moved slots in vain.
    sessions_min_moved: Number(moves.sessionsMinMoved.toFixed(2)),
    slots_moved: moves.slotsMoved,
    slots_min_moved: Number(moves.slotsMinMoved.toFixed(2)),
    errors_total: totals.reduce((sum, [, service]) => sum + service.errors, 0),
    retries_total: input.retries,
    requests_total: totals.reduce((sum, [, service]) => sum + service.requests, 0),
    forecast: input.forecast ?? { source: "none", mase: null, seasonal_naive_mase: null },
  };
}

/** The same for people. */
export function closingLine(result: DemoResult): string {
  const { requests_total, errors_total, retries_total, epochs, sessions_moved, sessions_min_moved } = result;
  const moved = `${sessions_moved} session moves, ${sessions_min_moved} of them necessary`;
  return `${requests_total} requests, ${errors_total} errors, ${retries_total} retries, ${epochs.length} epochs, ${moved}`;
}
