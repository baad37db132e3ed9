import { parseArgs } from "node:util";
import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { type Reshuffle, reshuffleOfSwitch } from "../change/sessions.ts";
import { openForecaster } from "../forecast/forecaster.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import { type PlannedService, PPM } from "../plan/plan.ts";
import { RiskBook } from "../serve/change-risk.ts";
import { Covariates } from "../serve/covariates.ts";
import { loadInputs } from "../serve/inputs.ts";
import { MAX_SIMULATED_STEPS, simulatePlans } from "../serve/simulate.ts";
import { buildTable } from "../table/build.ts";
import type { Command } from "./io.ts";
import { switchText } from "./print-change.ts";
import { silentLog } from "./silent-log.ts";

const USAGE = `usage: ballast plan [--config FILE] [--at TIME | --from TIME --to TIME] [--every SECONDS] [--chain model|baseline|none] [--json]

Shows what would be planned, and why, from the estate, the calendar and the load history alone (no live telemetry).
--at TIME      one plan; the six hours before it are planned too, so that steps and drains stand where they would (default: clock.start, or now)
--from, --to   every change of the plan in a span
--every        seconds of the calendar between two plans (default: the step of the load history)
--chain        which forecast answers: model (with its fall-backs), baseline (without the model), none (base weights and calendar only)`;

/** A load that was seen longer ago is no present load to a plan, and no start to the model. */
const PRESENT_MS = 3_600_000;

/** How long before --at the simulation starts: longer than any drain. */
const RUN_UP_MS = 6 * 3_600_000;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", default: "demo/ballast.yaml" },
      at: { type: "string" },
      from: { type: "string" },
      to: { type: "string" },
      every: { type: "string" },
      chain: { type: "string", default: "model" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const inputs = await loadInputs(values.config, (config) => config.clock?.startMs ?? Date.now());
  const { config, estate, history, services } = inputs;
  const errors = estate.findings.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    io.err(`${errors[0]!.code}: ${errors[0]!.message}`);
    io.err(`${errors.length} error(s) in the estate; \`ballast estate check\` lists all findings`);
  }
  const atMs = values.at === undefined ? (config.clock?.startMs ?? Date.now()) : time("--at", values.at);
  const span = values.from !== undefined || values.to !== undefined;
  if (span && (values.from === undefined || values.to === undefined))
    throw new BallastError("USAGE", "--from and --to go together");
  const fromMs = values.from === undefined ? atMs - RUN_UP_MS : time("--from", values.from);
  const toMs = values.to === undefined ? atMs : time("--to", values.to);
  const stepMs = values.every === undefined ? history.stepMs : Number(values.every) * 1000;
  if (!(stepMs > 0) || !(toMs >= fromMs) || (toMs - fromMs) / stepMs > MAX_SIMULATED_STEPS) {
    throw new BallastError("USAGE", `the span must run forwards with at most ${MAX_SIMULATED_STEPS} steps`);
  }
  const { chain } = values;
  if (chain !== "model" && chain !== "baseline" && chain !== "none")
    throw new BallastError("USAGE", `--chain ${chain}: expected model, baseline or none`);

  const note = historyNote(history, services.keys(), toMs);
  if (note !== null) io.err(note);
  const { riskModel: modelDir } = config;
  const { changes } = inputs;
  const risks =
    chain === "none" || modelDir === null || changes === null
      ? null
      : await RiskBook.open({ modelDir, drift: "off", services, changes, keep: null, log: silentLog });
  const clock: Clock = { nowMs: () => toMs, monotonicMs: () => performance.now() };
  const world = await Covariates.open({ inputs, clock, timeOf: (wallMs) => wallMs, log: silentLog });
  const forecaster =
    chain === "none" ? null : await openForecaster({ modelDir: config.model ?? "", world, log: silentLog });
  try {
    const steps: { at: string; services: Record<string, PlannedService> }[] = [];
    let before = "";
    for await (const { atMs: now, plan } of simulatePlans({
      services,
      history,
      forecaster,
      chain: chain === "none" ? "baseline" : chain,
      risks,
      fromMs,
      toMs,
      stepMs,
    })) {
      const shares = JSON.stringify(
        [...plan.services.values()].map((s) => s.targets.map((t) => [t.weightPpm, t.stickyPpm])),
      );
      const changed = shares !== before;
      before = shares;
      if (!(span ? changed : now + stepMs > toMs)) continue;
      const at = new Date(now).toISOString();
      const step = { at, services: Object.fromEntries(plan.services) };
      if (values.json) steps.push(step);
      else print(at, plan.services.values(), span, io.out);
    }
    if (values.json) io.out(JSON.stringify({ chain, steps }));
  } finally {
    forecaster?.close();
    await risks?.stop();
    await world.stop();
  }
  return 0;
};

/** Says from when on the plans of a span up to `toMs` know less than those before; null where they do not. */
function historyNote(history: LoadHistory, services: Iterable<string>, toMs: number): string | null {
  const ends = [...services].flatMap((service) => history.span(service)?.endMs ?? []);
  if (ends.length === 0) return null;
  const endMs = Math.min(...ends);
  if (toMs - endMs <= PRESENT_MS) return null;
  const iso = (ms: number): string => new Date(ms).toISOString();
  return `the load history ends at ${iso(endMs)}; later plans have no present load, and no model, from ${iso(endMs + PRESENT_MS)} on`;
}

function time(flag: string, text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms) || !/(Z|[+-]\d\d:\d\d)$/.test(text)) {
    throw new BallastError("USAGE", `${flag} ${text}: expected a time with its zone, like 2026-03-02T09:00:00Z`);
  }
  return ms;
}

function print(at: string, services: Iterable<PlannedService>, brief: boolean, out: (text: string) => void): void {
  out(at);
  for (const service of services) {
    out(`  ${service.name} (${service.mode}): ${service.why}`);
    if (service.mode === "observe" && !brief) out(`    ${switchText(switchOf(service))}`);
    for (const target of service.targets) {
      const sticky = target.stickyPpm === target.weightPpm ? "" : `  sessions ${percent(target.stickyPpm)}`;
      out(
        `    ${target.name.padEnd(24)} base ${percent(target.basePpm)}  planned ${percent(target.weightPpm)}${sticky}${target.draining ? "  draining" : ""}`,
      );
      if (brief) continue;
      for (const cause of target.causes)
        out(`      ${(cause.effectPpm / 10_000).toFixed(2).padStart(8)} points  ${cause.text}`);
    }
  }
}

/** Of the table that the plan would make. */
function switchOf({ name, targets }: PlannedService): Reshuffle {
  const { table } = buildTable({ service: name, observe: false, slots: 1024, targets, previous: null });
  return reshuffleOfSwitch(table, new Map(targets.map((target) => [target.name, target.basePpm])));
}

function percent(ppm: number): string {
  return `${((100 * ppm) / PPM).toFixed(1).padStart(5)} %`;
}
