import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BallastError } from "../../../common/errors.ts";
import type { Judged } from "../../../control/forecast/scores/risk-metrics.ts";
import { askFile } from "../../../models/risk/ask-file.ts";
import { fitRisk } from "../../../models/risk/fit-risk.ts";
import { ROOT } from "../../lib/native-build.ts";
import { LogisticRegression } from "../logistic.ts";
import { scoreRow, scoreTable } from "../scores.ts";
import { incidentRow, type OpenedIncident, readIncidents } from "./incidents.ts";

const FILE = "itsm/uci_incident_event_log_5998.csv";

/**
 * The UCI slice has no changes that could be judged (`rfc` on 153 and `caused_by` on 18 of 5,998 events, no CI on nearly all), so
 * change risk cannot be scored on it. The stand-in is the nearest question that it can answer: of an incident as it stood when it was
 * opened, will its SLA be missed? It tests recipe (both halves of the risk model, their calibration and their ONNX file), scoring, split by time and
 * leak guard on real tickets, and not the model of changes.
 * @param python interpreter of the training environment; null: the recipe is left out
 */
export async function slaSlice(python: string | null): Promise<{ lines: string[]; result: object | null }> {
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
  const recipe = python === null ? null : await recipeOn(train, test, python);
  const rows = [
    scoreRow("base rate", base, base, groups),
    scoreRow("rule (priority)", rule, base, groups),
    scoreRow("logistic regression", judged, base, groups),
    ...(recipe === null ? [] : [scoreRow("model (recipe of change risk)", recipe, base, groups)]),
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
      model_brier: rows[3] === undefined ? null : Number(rows[3].brier.toPrecision(5)),
      model_pr_auc: rows[3] === undefined ? null : Number(rows[3].prAuc.toPrecision(5)),
    },
  };
}

/** As in the risk model: the last fifth of what may be learnt from calibrates. */
const CALIBRATE_SHARE = 0.2;

/** The recipe of the risk model, constants and all, trained and calibrated before the test span and asked in the engine that serves it. */
async function recipeOn(
  known: readonly OpenedIncident[],
  test: readonly OpenedIncident[],
  python: string,
): Promise<Judged[]> {
  const calibrateFrom = Math.floor((1 - CALIBRATE_SHARE) * known.length);
  const train = known.slice(0, calibrateFrom);
  const rates = groupRates(train);
  const base = train.filter(({ missed }) => missed).length / train.length;
  const rowOf = (one: OpenedIncident, ofTraining: boolean): Float32Array => incidentRow(one, rates, base, ofTraining);
  const used = known.flatMap((one, i) => {
    const span = i < calibrateFrom ? 0 : 1;
    return [...rowOf(one, span === 0), Number(one.missed), span, 1];
  });
  const asked = test.map((one) => rowOf(one, false));
  const width = asked[0]!.length;
  const workDir = join(ROOT, ".ballast/work/sla");
  await fitRisk({
    file: new Uint8Array(Float32Array.from(used).buffer),
    monotone: Array.from({ length: width }, () => 0 as const),
    schemaHash: "sla",
    seed: 1,
    workDir,
    python,
    progress: (text) => process.stderr.write(`${text}\n`),
  });
  const probabilities = await askFile(
    join(workDir, "risk.onnx"),
    Float32Array.from(asked.flatMap((row) => [...row])),
    width,
  );
  return test.map(({ missed }, i) => ({ probability: probabilities[i]!, happened: missed }));
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
