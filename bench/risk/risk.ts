import { join } from "node:path";
import { RISK_FEATURES } from "../../control/features/risk/schema.ts";
import type { Judged } from "../../control/forecast/scores/risk-metrics.ts";
import { SPAN } from "../../models/risk/spans.ts";
import {
  casesOf,
  type Dataset,
  riskDataset,
  scoreRisk,
  scoreRule,
  trainingRates,
  trainRisk,
} from "../../models/risk/train-risk.ts";
import { makeWorld, truthKey, type World } from "../../models/risk/world/world.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { ROOT } from "../lib/native-build.ts";
import { writeResults } from "../lib/results.ts";
import { formatTable } from "../lib/table.ts";
import type { BenchOptions } from "../main.ts";
import { LogisticRegression } from "./logistic.ts";
import { planEffect } from "./plan-effect.ts";
import { calibrationTable, type Row, scoreRow, scoreTable } from "./scores.ts";
import { slaSlice } from "./uci/sla-slice.ts";

const COMMITTED = join(ROOT, "models/committed/risk");
/** Worlds that a full run trains on anew, by the same recipe; the committed model knows seed 1 only. */
const OTHER_SEEDS = [2, 3];

const progress = (text: string): void => void process.stderr.write(`${text}\n`);

/**
 * Scores change risk on the generated company and, for the SLA stand-in, on the UCI incident slice. --quick scores the committed
 * model alone; a full run also trains on companies of other seeds, so that the figure is not one company's luck.
 */
export async function run({ quick }: BenchOptions): Promise<object> {
  const world = makeWorld();
  const data = riskDataset(world.records, world.targets);
  const { rows, judged, base } = await judge(world, data, COMMITTED);
  const found = casesOf(data, SPAN.test);
  const seen = found.filter((c) => c.degraded).length;
  const head = `Generated company, seed 1: ${found.length} pairs of change and target in the test span, ${seen} degraded (${((100 * seen) / found.length).toFixed(1)} %).`;
  const parts = [head, "", scoreTable(rows), "", "The model's calibration:", "", calibrationTable(judged), ""];
  parts.push(...effectTable(data, judged, base));
  if (!quick) parts.push(...(await otherWorlds()));
  const python = quick ? null : await makePythonEnvironment(join(ROOT, ".ballast/venv"), progress);
  const sla = await slaSlice(python);
  parts.push("", ...sla.lines);
  process.stdout.write(`${parts.join("\n")}\n`);
  if (!quick) await writeResults("risk", parts.join("\n"));
  const of = (name: string): Row => rows.find((row) => row.name === name)!;
  const round = (value: number): number => Number(value.toPrecision(5));
  return {
    cases: found.length,
    base_rate: round(seen / found.length),
    brier: round(of("model").brier),
    brier_skill: round(of("model").skill),
    brier_skill_ci: of("model").skillInterval.map(round),
    log_loss: round(of("model").logLoss),
    pr_auc: round(of("model").prAuc),
    pr_auc_ci: of("model").prInterval.map(round),
    ece: round(of("model").ece),
    rule_brier: round(of("rule").brier),
    rule_pr_auc: round(of("rule").prAuc),
    logistic_brier: round(of("logistic regression").brier),
    logistic_pr_auc: round(of("logistic regression").prAuc),
    base_brier: round(of("base rate").brier),
    best_possible_brier: round(of("best possible").brier),
    best_possible_pr_auc: round(of("best possible").prAuc),
    sla: sla.result,
  };
}

async function judge(
  world: World,
  data: Dataset,
  folder: string,
): Promise<{ rows: Row[]; judged: Judged[]; base: Judged[] }> {
  const chosen = casesOf(data, SPAN.test);
  const groups = chosen.map(({ facts }) => facts.sysId);
  const { rule, base } = scoreRule(data, SPAN.test, trainingRates(data));
  const judged = await scoreRisk(folder, data, SPAN.test);
  const best = chosen.map((c) => ({
    probability: world.truth.get(truthKey(c.facts.sysId, c.targetCi))!,
    happened: c.degraded,
  }));
  const rows = [
    scoreRow("base rate", base, base, groups),
    scoreRow("rule", rule, base, groups),
    scoreRow("logistic regression", logistic(data), base, groups),
    scoreRow("model", judged, base, groups),
    scoreRow("best possible", best, base, groups),
  ];
  return { rows, judged, base };
}

/** The same columns, training and calibration span together, each change with the same weight as for the model. */
export function logistic({ cases, spans, rows }: Dataset): Judged[] {
  const width = RISK_FEATURES.length;
  const row = (i: number): Float32Array => rows.subarray(i * width, (i + 1) * width);
  const pairs = new Map<string, number>();
  for (const { facts } of cases) pairs.set(facts.sysId, (pairs.get(facts.sysId) ?? 0) + 1);
  const train = [...cases.keys()].filter((i) => spans[i] === SPAN.train || spans[i] === SPAN.calibrate);
  const model = LogisticRegression.fit(
    train.map(row),
    train.map((i) => cases[i]!.degraded),
    train.map((i) => 1 / pairs.get(cases[i]!.facts.sysId)!),
  );
  return [...cases.keys()]
    .filter((i) => spans[i] === SPAN.test)
    .map((i) => ({ probability: model.probability(row(i)), happened: cases[i]!.degraded }));
}

/** What the planner gains: the same policy for all, and the rule's and base rate's probabilities in the model's place. */
function effectTable(data: Dataset, judged: readonly Judged[], base: readonly Judged[]): string[] {
  const { rule } = scoreRule(data, SPAN.test, trainingRates(data));
  const cases = (list: readonly Judged[]) =>
    list.map(({ probability, happened }) => ({ probability, degraded: happened }));
  const off = planEffect(cases(judged), 0);
  const lines = [
    ["off", off] as const,
    ...(
      [
        ["base rate", base],
        ["rule", rule],
        ["model", judged],
      ] as const
    ).map(([name, list]) => [name, planEffect(cases(list), 500_000)] as const),
  ].map(([name, { met, moved }]) => {
    const spared = off.met - met;
    const ratio = moved === 0 ? "–" : (spared / moved).toFixed(3);
    return [name, (100 * met).toFixed(3), (100 * moved).toFixed(3), ratio];
  });
  return [
    "What the planner makes of it (two equal targets with room, one under the change, riskFrom 10 %, riskShift 50 %): traffic that meets a",
    "degraded target, traffic moved ahead, and what each point moved spares. Moving at random would spare the base rate.",
    "",
    formatTable(["risk from", "met, %", "moved, %", "spared per moved"], lines),
  ];
}

async function otherWorlds(): Promise<string[]> {
  const python = await makePythonEnvironment(join(ROOT, ".ballast/venv"), progress);
  const lines: string[] = [];
  for (const seed of OTHER_SEEDS) {
    const world = makeWorld({ seed });
    const data = riskDataset(world.records, world.targets);
    const outDir = join(ROOT, `.ballast/model/risk-${seed}`);
    const workDir = join(ROOT, `.ballast/work/risk-${seed}`);
    const { records, targets } = world;
    await trainRisk({
      records,
      targets,
      source: `A generated company, seed ${seed}`,
      outDir,
      workDir,
      python,
      seed: 1,
      progress,
    });
    const { rows } = await judge(world, data, outDir);
    lines.push("", `Generated company, seed ${seed}, trained anew by the same recipe:`, "", scoreTable(rows));
  }
  return lines;
}
