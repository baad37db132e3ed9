import type { SignalRow } from "../../ingest/covariates/dated-csv.ts";
import type { FeatureGroup, GroupColumn } from "./group.ts";

/** Signals that one model may have. */
export const MAX_SIGNALS = 16;
const DAY_MS = 86_400_000;
const MAX_DAYS = 30;

export interface SignalParameters {
  names: string[];
}

/**
 * External dated signals, for example the premieres of a series. What is known in advance (a date) and what becomes known late (how
 * many watched) are kept apart by `knownAtMs` of each row: `_ahead` is the value at the horizon step if it was known at the origin,
 * `_cycle` that one season before, and `_last` the newest value whose span was over and known, with its age.
 */
export const signals: FeatureGroup<SignalParameters> = {
  name: "signals",
  version: 1,
  fit: (world, fitToMs) => {
    const rows = world.signals ?? [];
    // A signal that nobody knew of in training has nothing to say to this model.
    const names = [...new Set(rows.filter((row) => row.knownAtMs <= fitToMs).map((row) => row.signal))].sort();
    if (names.length > MAX_SIGNALS) throw new Error(`${names.length} signals; at most ${MAX_SIGNALS}`);
    return { names };
  },
  needs: ({ names }) => (names.length > 0 ? ["signals"] : []),
  columns: ({ names }) =>
    names.flatMap((name): GroupColumn[] => [
      { name: `signal_${name}_ahead`, unit: "the signal's own", known: "advance" },
      { name: `signal_${name}_cycle`, unit: "the signal's own", known: "advance" },
      { name: `signal_${name}_last`, unit: "the signal's own", known: "late" },
      { name: `signal_${name}_last_days`, unit: "days since its end, 0 … 30", known: "late" },
    ]),
  prepare: ({ names }, world, service) => {
    const own = (world.signals ?? []).filter((row) => row.service === null || row.service === service);
    const bySignal = names.map((name) =>
      own.filter((row) => row.signal === name).sort((a, b) => a.startMs - b.startMs),
    );
    return ({ originMs, season, horizon, stepMs }) => {
      const cycleMs = season * Math.ceil(horizon / season) * stepMs;
      const known = bySignal.map((rows) => rows.filter((row) => row.knownAtMs <= originMs));
      const newest = known.map((rows) => last(rows.filter((row) => row.endMs <= originMs)));
      return (h, row, at) => {
        const ms = originMs + h * stepMs;
        for (const [i, rows] of known.entries()) {
          const latest = newest[i]!;
          row[at + 4 * i] = valueAt(rows, ms);
          row[at + 4 * i + 1] = valueAt(rows, ms - cycleMs);
          row[at + 4 * i + 2] = latest?.value ?? 0;
          row[at + 4 * i + 3] = latest === null ? MAX_DAYS : Math.min(MAX_DAYS, (originMs - latest.endMs) / DAY_MS);
        }
      };
    };
  },
};

/** 0 where no row holds; of several the one that began last. */
function valueAt(rows: readonly SignalRow[], ms: number): number {
  for (let i = rows.length - 1; i >= 0; i--) if (rows[i]!.startMs <= ms && ms < rows[i]!.endMs) return rows[i]!.value;
  return 0;
}

/** Of rows in order of start the one that ended last. */
function last(rows: readonly SignalRow[]): SignalRow | null {
  return rows.reduce<SignalRow | null>((best, row) => (best === null || row.endMs >= best.endMs ? row : best), null);
}
