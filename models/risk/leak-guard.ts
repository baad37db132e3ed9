import { BallastError } from "../../common/errors.ts";
import { ChangeHistory } from "../../control/features/risk/change-history.ts";
import type { RiskCase } from "../../control/features/risk/risk-features.ts";
import { RISK_FEATURES } from "../../control/features/risk/schema.ts";
import type { LabelledCase } from "../../control/features/risk/training-cases.ts";
import type { EstateRecords } from "../../control/ingest/records.ts";

/** A column that alone orders the outcomes better than this (area under ROC, either way) has seen them. */
const MAX_COLUMN_AUC = 0.97;
const PROBES = 12;

/** Makes the rows of cases from an export and its index. */
export type RowBuilder = (
  cases: readonly RiskCase[],
  history: ChangeHistory,
  records: EstateRecords,
) => Float32Array<ArrayBuffer>;

export interface LeakProbe {
  records: EstateRecords;
  cases: readonly LabelledCase[];
  rows: Float32Array;
  /** The builder under test. */
  build: RowBuilder;
}

/**
 * Throws TRAIN_LEAK when a column knows what came later:
 * - for changes over the whole calendar the row is built again from the export as it stood when the work began (later tickets
 *   gone, actual times and final states blank); a column that differs has looked ahead;
 * - a column that alone tells the outcome is refused, whatever it is called.
 */
export function refuseLeaks({ records, cases, rows, build }: LeakProbe): void {
  const width = RISK_FEATURES.length;
  for (let probe = 0; probe < Math.min(PROBES, cases.length); probe++) {
    const index = Math.floor(((probe + 0.5) * cases.length) / Math.min(PROBES, cases.length));
    const one = cases[index]!;
    const stood = asItStood(records, one.facts.startMs);
    const then = new ChangeHistory(stood);
    const facts = then.changes.find((change) => change.sysId === one.facts.sysId);
    const again = facts === undefined ? null : build([{ ...one, facts }], then, stood);
    for (let column = 0; column < width; column++) {
      const name = RISK_FEATURES[column]!.name;
      if (again === null || !Object.is(again[column], rows[index * width + column])) {
        const values = `${rows[index * width + column]} in training, ${again?.[column]} when the work began`;
        throw new BallastError("TRAIN_LEAK", `${name} of ${one.facts.number} knows what came later: ${values}`);
      }
    }
  }
  for (let column = 0; column < width; column++) {
    const auc = columnAuc(cases, rows, column);
    if (auc > MAX_COLUMN_AUC || auc < 1 - MAX_COLUMN_AUC) {
      const text = `${RISK_FEATURES[column]!.name} alone tells the outcome (area under ROC ${auc.toFixed(3)})`;
      throw new BallastError("TRAIN_LEAK", text);
    }
  }
}

/** The export as it stood at a time: what was created, opened or written later is gone. */
export function asItStood(records: EstateRecords, atMs: number): EstateRecords {
  return {
    ...records,
    changes: records.changes
      .filter(({ plan }) => (plan?.createdMs ?? Number.NEGATIVE_INFINITY) <= atMs)
      .map((change) => ({ ...change, state: "scheduled", workStartMs: null, workEndMs: null, updatedMs: null })),
    incidents: records.incidents
      .filter(({ openedMs }) => openedMs !== null && openedMs < atMs)
      .map((incident) => ({
        ...incident,
        state: "in progress",
        resolvedMs: incident.resolvedMs != null && incident.resolvedMs < atMs ? incident.resolvedMs : null,
      })),
  };
}

/** Area under the ROC curve of one column by ranks, ties in the middle; 0.5 when it cannot tell. */
function columnAuc(cases: readonly LabelledCase[], rows: Float32Array, column: number): number {
  const width = RISK_FEATURES.length;
  const known = cases
    .map(({ degraded }, i) => ({ value: rows[i * width + column]!, degraded }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => a.value - b.value);
  const positives = known.filter(({ degraded }) => degraded).length;
  const negatives = known.length - positives;
  if (positives === 0 || negatives === 0) return 0.5;
  let [below, area] = [0, 0];
  for (let i = 0; i < known.length; ) {
    let [hits, misses] = [0, 0];
    const { value } = known[i]!;
    for (; i < known.length && known[i]!.value === value; i++) known[i]!.degraded ? hits++ : misses++;
    area += hits * (below + misses / 2);
    below += misses;
  }
  return area / (positives * negatives);
}
