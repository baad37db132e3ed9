import type { ChangeHistory } from "../../features/risk/change-history.ts";
import { type RiskCase, riskRows } from "../../features/risk/risk-features.ts";
import { RISK_FEATURES } from "../../features/risk/schema.ts";
import type { ForecastLog } from "../forecaster.ts";
import { FallbackError, type FallbackReason, reasonText } from "../reasons.ts";
import { WorkerSession } from "../worker/worker-session.ts";
import type { ChangeRisk } from "./risk.ts";
import { type RiskManifest, readRiskModel } from "./risk-manifest.ts";
import type { RiskWorkerInput } from "./risk-worker.ts";
import { PUBLISHED_RATES, type RuleRates, ruleClass } from "./rule.ts";

export interface RiskAssessorOptions {
  /** Folder with manifest.json and the model. */
  modelDir: string;
  log: ForecastLog;
  /** Limit for one batch of inference, milliseconds. Default 2,000. */
  timeoutMs?: number;
  /** Limit for loading the model, milliseconds. Default 15,000. */
  loadTimeoutMs?: number;
}

export interface RiskModelStatus {
  model: "ready" | "refused";
  reason: FallbackReason | null;
  sha256: string | null;
  modelDir: string;
}

/** A case with the name under which the planner knows its target. */
export interface NamedCase extends RiskCase {
  target: string;
}

export type RiskSession = WorkerSession<RiskWorkerInput, Float32Array, Float32Array>;

/** Rows of one batch; a larger question is answered in several. */
const MAX_ROWS = 1_024;
/** More cases than this are not asked of the model: the rule answers for the rest, which are the furthest away in time. */
export const MAX_CASES = 20_000;
/** The model may exceed the odds of its highest answer in training by this factor. */
const GUARD_ODDS = 2;

/**
 * Probability that each target degrades by each change. Never rejects because of the model: model → rule → base rate answers,
 * each fall with its reason.
 */
export class RiskAssessor {
  readonly #options: Required<RiskAssessorOptions>;
  #manifest: RiskManifest | null = null;
  #session: RiskSession | null = null;
  #refusal: FallbackReason | null = null;

  private constructor(options: RiskAssessorOptions) {
    this.#options = { timeoutMs: 2_000, loadTimeoutMs: 15_000, ...options };
  }

  static async open(options: RiskAssessorOptions): Promise<RiskAssessor> {
    const assessor = new RiskAssessor(options);
    const { modelDir, log } = options;
    try {
      const { manifest, bytes } = await readRiskModel(modelDir);
      assessor.#manifest = manifest;
      const { timeoutMs, loadTimeoutMs } = assessor.#options;
      assessor.#session = await WorkerSession.open({
        input: { bytes, features: RISK_FEATURES.length },
        timeoutMs,
        loadTimeoutMs,
        workerMemoryMb: 64,
        workerUrl: new URL("./risk-worker.ts", import.meta.url),
      });
      log.info({ modelDir, sha256: manifest.sha256 }, "risk model ready");
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      assessor.#refusal = thrown.reason;
      log.warn({ modelDir, ...thrown.reason }, "risk model refused; the rule answers");
    }
    return assessor;
  }

  get status(): RiskModelStatus {
    return {
      model: this.#refusal === null ? "ready" : "refused",
      reason: this.#refusal,
      sha256: this.#manifest?.sha256 ?? null,
      modelDir: this.#options.modelDir,
    };
  }

  /** What the links below the model say of a change. */
  below({ facts }: NamedCase): { rule: number; baseRate: number } {
    const rates = this.#manifest?.rates ?? PUBLISHED_RATES;
    return { rule: rates[ruleClass(facts) ?? "base"], baseRate: rates.base };
  }

  /** @param instead why the model is not to be asked; null: it is */
  async assess(
    cases: readonly NamedCase[],
    history: ChangeHistory,
    asOfMs: number,
    instead: FallbackReason | null = null,
  ): Promise<ChangeRisk[]> {
    const risks: ChangeRisk[] = [];
    for (let from = 0; from < cases.length; from += MAX_ROWS) {
      const batch = cases.slice(from, from + MAX_ROWS);
      const unasked = instead ?? (from >= MAX_CASES ? tooMany(cases.length) : null);
      const answer = unasked ?? (await this.#ask(batch, history, asOfMs));
      batch.forEach((one, i) => {
        const fault = answer instanceof Float32Array ? this.#fault(answer[i]!) : answer;
        risks.push(fault === null ? fromModel(one, (answer as Float32Array)[i]!) : this.#fromRule(one, fault));
      });
    }
    return risks;
  }

  close(): void {
    this.#session?.close();
    this.#session = null;
  }

  async #ask(
    batch: readonly NamedCase[],
    history: ChangeHistory,
    asOfMs: number,
  ): Promise<Float32Array | FallbackReason> {
    if (this.#refusal !== null) return this.#refusal;
    try {
      if (this.#session === null) throw new FallbackError("INFERENCE_FAILED", "the assessor was closed");
      const rows = riskRows(batch, history, asOfMs);
      return await this.#session.run(rows, [rows.buffer]);
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      this.#options.log.warn({ ...thrown.reason }, "the risk model did not answer; the rule does");
      // A dead session stays dead; the rule answers until the server starts again.
      if (this.#session?.alive === false) this.#refusal = thrown.reason;
      return thrown.reason;
    }
  }

  #fault(probability: number): FallbackReason | null {
    const highest = this.#manifest?.highest_probability ?? 0;
    const odds = (GUARD_ODDS * highest) / Math.max(1e-9, 1 - highest);
    const bound = odds / (1 + odds);
    if (probability >= 0 && probability <= bound) return null;
    const text = `the model's output was refused: ${probability} is not between 0 and ${bound.toPrecision(3)}`;
    return { code: "OUTPUT_GUARD", text };
  }

  #fromRule({ facts, target }: NamedCase, reason: FallbackReason): ChangeRisk {
    const rates: RuleRates = this.#manifest?.rates ?? PUBLISHED_RATES;
    const name = ruleClass(facts);
    const blank = name === null ? ["the change has neither a type nor a risk field"] : [];
    return {
      change: facts.sysId,
      target,
      probability: rates[name ?? "base"],
      source: name === null ? "base_rate" : "rule",
      fallbackReasons: [reasonText(reason), ...blank],
    };
  }
}

function fromModel({ facts, target }: NamedCase, probability: number): ChangeRisk {
  return { change: facts.sysId, target, probability, source: "model", fallbackReasons: [] };
}

function tooMany(count: number): FallbackReason {
  return { code: "MODEL_NOT_ASKED", text: `${count} changes and targets are more than ${MAX_CASES} at once` };
}
