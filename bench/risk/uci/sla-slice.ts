import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BallastError } from "../../../common/errors.ts";
import type { Judged } from "../../../control/forecast/risk-metrics.ts";
import { ROOT } from "../../lib/native-build.ts";
import { LogisticRegression } from "../logistic.ts";
import { scoreRow, scoreTable } from "../scores.ts";
import { incidentRow, type OpenedIncident, readIncidents } from "./incidents.ts";

const FILE = "itsm/uci_incident_event_log_5998.csv";

/**
 * The UCI slice has no changes that could be judged (`rfc` on 153 and `caused_by` on 18 of 5,998 events, no CI on nearly all), so
 * change risk cannot be scored on it. The stand-in is the nearest question that it can answer: of an incident as it stood when it was
 * opened, will its SLA be missed? It tests scoring, split by time and leak guard on real tickets, and not the model of changes.
 */
export function slaSlice(): { lines: string[]; result: object | null } {
  const path = join(process.env.BALLAST_SHARED_DATA ?? join(ROOT, "../shared/data"), FILE);
  if (!existsSync(path)) {
    if (process.env.CI) throw new BallastError("BENCH_DATA", `${path} is not there`);
    return { lines: [`UCI incident slice: left out, ${path} is not there.`], result: null };
  }
  const incidents = readIncidents(readFileSync(path, "utf8"));
  // By time of opening. The slice is three days long and incidents take days to close: a deployment could not yet have learnt from the
  // last of the training span. The order is kept all the same, so that no test incident is older than one that was trained on.
  const cut = Math.floor(0.7 * incidents.length);
  const [train, test] = [incidents.slice(0, cut), incidents.slice(cut)];
  const rates = groupRates(train);
  const rate = train.filter((one) => one.missed).length / train.length;
  const base = test.map(({ missed }): Judged => ({ probability: rate, happened: missed }));
  const model = LogisticRegression.fit(
    train.map((one) => incidentRow(one, rates, rate, true)),
    train.map((one) => one.missed),
    train.map(() => 1),
    10,
  );
  const judged = test.map(
    (one): Judged => ({ probability: model.probability(incidentRow(one, rates, rate, false)), happened: one.missed }),
  );
  const byPriority = ruleOf(train, rate);
  const rule = test.map(({ priority, missed }): Judged => ({ probability: byPriority(priority), happened: missed }));
  const groups = test.map((_, i) => String(i));
  const rows = [
    scoreRow("base rate", base, base, groups),
    scoreRow("rule (priority)", rule, base, groups),
    scoreRow("logistic regression", judged, base, groups),
  ];
  const counts = `${train.length} incidents to learn from, ${test.length} to score, ${(100 * (test.filter((t) => t.missed).length / test.length)).toFixed(1)} % missed their SLA`;
  return {
    lines: [
      `UCI incident slice, a stand-in and not change risk: will an incident miss its SLA, from what stood in it when it was opened; ${counts}.`,
      "",
      scoreTable(rows),
    ],
    result: {
      cases: test.length,
      brier: Number(rows[2]!.brier.toPrecision(5)),
      rule_brier: Number(rows[1]!.brier.toPrecision(5)),
      base_brier: Number(rows[0]!.brier.toPrecision(5)),
      pr_auc: Number(rows[2]!.prAuc.toPrecision(5)),
    },
  };
}

/** Misses and counts by the words of each field, on the training incidents alone. */
function groupRates(train: readonly OpenedIncident[]): Map<string, { count: number; missed: number }> {
  const rates = new Map<string, { count: number; missed: number }>();
  for (const { words, missed } of train) {
    for (const word of words) {
      const one = rates.get(word) ?? { count: 0, missed: 0 };
      rates.set(word, { count: one.count + 1, missed: one.missed + Number(missed) });
    }
  }
  return rates;
}

function ruleOf(train: readonly OpenedIncident[], base: number): (priority: number) => number {
  return (priority) => {
    const members = train.filter((one) => one.priority === priority);
    return (members.filter((one) => one.missed).length + 20 * base) / (members.length + 20);
  };
}
