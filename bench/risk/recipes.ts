/**
 * Compares mixtures of trees and logistic regression on generated companies that neither the committed model nor `bench -- risk` knows:
 *
 *     node bench/risk/recipes.ts [SEED...]        default: 11 to 20; five trainings each, some 30 s
 *
 * Prints Brier scores on the test span and how much of the way from the base rate's to the best possible one each goes.
 */
import { join } from "node:path";
import { RISK_FEATURES, RISK_SCHEMA_HASH } from "../../control/features/risk/schema.ts";
import { brierScore } from "../../control/forecast/scores/risk-metrics.ts";
import { askFile } from "../../models/risk/ask-file.ts";
import { EXTRA_COLUMNS, fitRisk } from "../../models/risk/fit-risk.ts";
import { SPAN, type Span } from "../../models/risk/spans.ts";
import { casesOf, riskDataset, scoreRule, trainingFile, trainingRates } from "../../models/risk/train-risk.ts";
import { makeWorld, truthKey } from "../../models/risk/world/world.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { ROOT } from "../lib/native-build.ts";
import { formatTable } from "../lib/table.ts";
import { logistic } from "./risk.ts";

const DEFAULT_SEEDS = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
const LINEAR_SHARES = [0, 0.25, 0.5, 0.75, 1];
const WIDTH = RISK_FEATURES.length;
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

/** Rows of one span as the trainer reads them. */
interface Part {
  rows: Float32Array<ArrayBuffer>;
  outcome: boolean[];
  weight: number[];
}

function partOf(file: Uint8Array, span: Span): Part {
  const values = new Float32Array(file.buffer);
  const rows: number[] = [];
  const part: Pick<Part, "outcome" | "weight"> = { outcome: [], weight: [] };
  for (let at = 0; at < values.length; at += WIDTH + EXTRA_COLUMNS) {
    const [outcome, of, weight] = values.subarray(at + WIDTH, at + WIDTH + EXTRA_COLUMNS);
    if (of !== span) continue;
    rows.push(...values.subarray(at, at + WIDTH));
    part.outcome.push(outcome === 1);
    part.weight.push(weight!);
  }
  return { rows: Float32Array.from(rows), ...part };
}

/** Log loss with the weights of training, which both halves and their calibration were fitted by. */
function weightedLoss(probabilities: Float32Array, { outcome, weight }: Part): number {
  let [sum, total] = [0, 0];
  outcome.forEach((happened, i) => {
    sum -= weight[i]! * Math.log(Math.max(1e-7, happened ? probabilities[i]! : 1 - probabilities[i]!));
    total += weight[i]!;
  });
  return sum / total;
}

/** Brier scores on one company's test span, by recipe. */
async function scoresOf(seed: number, python: string): Promise<Map<string, number>> {
  const world = makeWorld({ seed });
  const data = riskDataset(world.records, world.targets);
  const test = casesOf(data, SPAN.test);
  const best = test.map(({ facts, targetCi, degraded }) => ({
    probability: world.truth.get(truthKey(facts.sysId, targetCi))!,
    happened: degraded,
  }));
  const { base, rule } = scoreRule(data, SPAN.test, trainingRates(data));
  const scores = new Map([
    ["base rate", brierScore(base)],
    ["rule", brierScore(rule)],
    ["logistic regression of the benchmark", brierScore(logistic(data))],
  ]);
  const file = trainingFile(data);
  const [calibrate, asked] = [partOf(file, SPAN.calibrate), partOf(file, SPAN.test)];
  const workDir = join(ROOT, `.ballast/work/recipes-${seed}`);
  const monotone = RISK_FEATURES.map((feature) => feature.monotone);
  let chosen = { loss: Number.POSITIVE_INFINITY, brier: Number.NaN };
  for (const linearShare of LINEAR_SHARES) {
    const recipe = { file, monotone, schemaHash: RISK_SCHEMA_HASH, seed: 1, linearShare };
    await fitRisk({ ...recipe, workDir, python, progress });
    const ask = (part: Part) => askFile(join(workDir, "risk.onnx"), part.rows.slice(), WIDTH);
    const probabilities = await ask(asked);
    const brier = brierScore(asked.outcome.map((happened, i) => ({ happened, probability: probabilities[i]! })));
    scores.set(`linear share ${linearShare}`, brier);
    const loss = weightedLoss(await ask(calibrate), calibrate);
    if (loss < chosen.loss) chosen = { loss, brier };
  }
  scores.set("linear share chosen on the calibration span", chosen.brier);
  return scores.set("best possible", brierScore(best));
}

const python = await makePythonEnvironment(join(ROOT, ".ballast/venv"), progress);
const seeds = process.argv.length > 2 ? process.argv.slice(2).map(Number) : DEFAULT_SEEDS;
const found: Map<string, number>[] = [];
for (const seed of seeds) found.push(await scoresOf(seed, python));
const way = (scores: ReadonlyMap<string, number>, name: string): number => {
  const [base, best] = [scores.get("base rate")!, scores.get("best possible")!];
  return (base - scores.get(name)!) / (base - best);
};
const lines = [...found[0]!.keys()].map((name) => {
  const ways = found.map((scores) => way(scores, name));
  const mean = ways.reduce((sum, value) => sum + value, 0) / ways.length;
  return [name, ...found.map((scores) => scores.get(name)!.toFixed(5)), `${(100 * mean).toFixed(1)} %`];
});
process.stdout.write(`${formatTable(["recipe", ...seeds.map((seed) => `seed ${seed}`), "way"], lines)}\n`);
