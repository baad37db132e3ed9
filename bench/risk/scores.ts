import { brierScore, calibrationError, type Judged, prAuc } from "../../control/forecast/scores/risk-metrics.ts";
import { bootstrapInterval } from "../../control/forecast/series/bootstrap.ts";
import { logLoss } from "../../models/risk/train-risk.ts";
import { formatTable } from "../lib/table.ts";

export interface Row {
  name: string;
  brier: number;
  /** Against the base rate of the training span on the same cases. */
  skill: number;
  skillInterval: [number, number];
  logLoss: number;
  prAuc: number;
  prInterval: [number, number];
  ece: number;
}

type Paired = Judged & { base: number };

/**
 * One row of the table. Intervals are percentile bootstraps (95 %) over groups, drawn as wholes: the pairs of one change end
 * alike and are not independent.
 */
export function scoreRow(
  name: string,
  judged: readonly Judged[],
  base: readonly Judged[],
  groups: readonly string[],
): Row {
  const skillOf = (sample: readonly Paired[]): number =>
    1 - brierScore(sample) / brierScore(sample.map(({ base: probability, happened }) => ({ probability, happened })));
  const paired = judged.map((one, i): Paired => ({ ...one, base: base[i]!.probability }));
  const byGroup = [...Map.groupBy(paired.keys(), (i) => groups[i]!).values()].map((indexes) =>
    indexes.map((i) => paired[i]!),
  );
  return {
    name,
    brier: brierScore(judged),
    skill: skillOf(paired),
    skillInterval: bootstrapInterval(byGroup, skillOf, { draws: 200 }),
    logLoss: logLoss(judged),
    prAuc: prAuc(judged),
    prInterval: bootstrapInterval(byGroup, prAuc, { draws: 200 }),
    ece: calibrationError(judged),
  };
}

export function scoreTable(rows: readonly Row[]): string {
  return formatTable(
    ["forecast", "Brier", "skill", "95 %", "log loss", "PR-AUC", "95 % ", "ECE"],
    rows.map((r) => [
      r.name,
      r.brier.toFixed(5),
      r.skill.toFixed(3),
      r.skillInterval.map((v) => v.toFixed(3)).join(" … "),
      r.logLoss.toFixed(4),
      r.prAuc.toFixed(3),
      r.prInterval.map((v) => v.toFixed(3)).join(" … "),
      r.ece.toFixed(4),
    ]),
  );
}

/** Mean probability against what happened, in ten bins of equally many cases. */
export function calibrationTable(judged: readonly Judged[]): string {
  const sorted = [...judged].sort((a, b) => a.probability - b.probability);
  const rows = Array.from({ length: 10 }, (_, bin) => {
    const part = sorted.slice(Math.floor((bin * sorted.length) / 10), Math.floor(((bin + 1) * sorted.length) / 10));
    const mean = part.reduce((sum, c) => sum + c.probability, 0) / part.length;
    const seen = part.filter((c) => c.happened).length / part.length;
    return [`${bin + 1}`, String(part.length), mean.toFixed(4), seen.toFixed(4)];
  });
  return formatTable(["tenth", "cases", "said", "seen"], rows);
}
