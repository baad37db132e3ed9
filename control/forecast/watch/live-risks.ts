import type { ChangeHistory } from "../../features/risk/change-history.ts";
import type { ChangeOutcome } from "../../features/risk/known-changes.ts";
import type { ForecastLog } from "../forecaster.ts";
import type { FallbackReason } from "../reasons.ts";
import type { ChangeRisk } from "../risk/risk.ts";
import { type NamedCase, RiskAssessor, type RiskModelStatus } from "../risk/risk-assessor.ts";
import type { DriftPolicy } from "./live-forecaster.ts";
import { RiskBoard, type RiskComparison, type RiskDrift, type RiskRules } from "./risk-board.ts";

export interface LiveRisksOptions {
  /** Folder of the model that steers; empty: none, the rule answers. */
  modelDir: string;
  drift: DriftPolicy;
  log: ForecastLog;
}

export interface LiveRiskStatus extends RiskModelStatus {
  /** "change-risk" where there is a model. */
  kind: string | null;
  drift: RiskDrift & { policy: DriftPolicy };
  /** Forecasts that wait for what happens. */
  open: number;
  shadow: { sha256: string; folder: string } | null;
}

export const RISK_KIND = "change-risk";
/** Of a model's hash, on the board. */
const NAME_DIGITS = 12;

/**
 * The risk model of a running server and a candidate beside it. Both are asked the same of every change that has not begun; what
 * the active one says steers, and both are scored when the change is closed. The candidate never delays or changes an answer.
 */
export class LiveRisks {
  readonly #options: LiveRisksOptions;
  #active: RiskAssessor;
  #candidate: RiskAssessor | null = null;
  #board = new RiskBoard();
  #after: Promise<void> | null = null;

  private constructor(options: LiveRisksOptions, active: RiskAssessor) {
    this.#options = options;
    this.#active = active;
  }

  static async open(options: LiveRisksOptions): Promise<LiveRisks> {
    return new LiveRisks(options, await RiskAssessor.open(options));
  }

  get board(): RiskBoard {
    return this.#board;
  }

  /** Goes on with a board that was written down. */
  restore(state: unknown): void {
    this.#board = RiskBoard.restore(state);
  }

  /** The risks that steer. Beside it, and after it, what both models say of changes to come is noted. */
  async assess(cases: readonly NamedCase[], history: ChangeHistory, nowMs: number): Promise<ChangeRisk[]> {
    const { verdict, text } = this.#board.drift(nameOf(this.#active));
    const drifted = verdict === "drifted" && this.#options.drift === "fallback";
    const reason: FallbackReason | null = drifted ? { code: "MODEL_DRIFTED", text: text! } : null;
    const risks = await this.#active.assess(cases, history, nowMs, reason);
    if (this.#after === null)
      this.#after = this.#note(cases, drifted ? null : risks, history, nowMs)
        .catch((error: Error) => this.#options.log.warn({ err: error }, "risks could not be noted"))
        .finally(() => {
          this.#after = null;
        });
    return risks;
  }

  /** Scores the changes whose outcome is known. */
  settle(outcomeOf: (change: string, target: string) => ChangeOutcome, nowMs: number): void {
    this.#board.settle(({ change, target }) => outcomeOf(change, target), nowMs);
  }

  status(): LiveRiskStatus {
    const active = this.#active.status;
    const candidate = this.#candidate?.status;
    return {
      ...active,
      kind: active.sha256 === null ? null : RISK_KIND,
      drift: { ...this.#board.drift(nameOf(this.#active)), policy: this.#options.drift },
      open: this.#board.open,
      shadow: candidate?.sha256 == null ? null : { sha256: candidate.sha256, folder: candidate.modelDir },
    };
  }

  comparison(rules: RiskRules): RiskComparison | null {
    if (this.#candidate === null) return null;
    return this.#board.comparison(nameOf(this.#active), nameOf(this.#candidate)!, rules);
  }

  /**
   * The model of a folder becomes the active one.
   * @param orNone when it may not answer, the rule does; else the former model stays in place
   */
  async activate(folder: string, orNone = false): Promise<FallbackReason | null> {
    const opened = await RiskAssessor.open({ modelDir: folder, log: this.#options.log });
    const { reason } = opened.status;
    if (reason !== null && !orNone) {
      opened.close();
      return reason;
    }
    this.#active.close();
    this.#active = opened;
    return reason;
  }

  /** Lets the model of a folder answer beside the active one. */
  async shadow(folder: string): Promise<FallbackReason | null> {
    const opened = await RiskAssessor.open({ modelDir: folder, log: this.#options.log });
    const { reason } = opened.status;
    if (reason !== null) {
      opened.close();
      return reason;
    }
    this.retire();
    this.#candidate = opened;
    return null;
  }

  retire(): void {
    this.#candidate?.close();
    this.#candidate = null;
  }

  /** Resolves when nothing is being noted; for tests and the end. */
  async settled(): Promise<void> {
    await this.#after;
  }

  close(): void {
    this.#active.close();
    this.#candidate?.close();
  }

  async #note(
    cases: readonly NamedCase[],
    /** Null: the active model was passed over, and is asked here, so that its return can be judged. */
    risks: readonly ChangeRisk[] | null,
    history: ChangeHistory,
    nowMs: number,
  ): Promise<void> {
    const [active, candidate] = [this.#active, this.#candidate];
    const asked = risks ?? (await active.assess(cases, history, nowMs));
    const ahead = cases.flatMap((one, i) => (one.facts.startMs > nowMs ? [{ one, risk: asked[i]! }] : []));
    if (ahead.length === 0) return;
    const beside = ahead.map(({ one }) => one);
    const shadow = candidate === null ? null : await candidate.assess(beside, history, nowMs);
    // One of them may have been exchanged meanwhile: what it said is nobody's.
    if (active !== this.#active || candidate !== this.#candidate) return;
    this.#board.note(
      ahead.map(({ one, risk }, i) => {
        const other = shadow?.[i];
        return {
          change: one.facts.sysId,
          target: one.target,
          startMs: one.facts.startMs,
          endMs: one.facts.endMs,
          active: risk.source === "model" ? nameOf(active) : null,
          answered: digits(risk.probability),
          candidate: candidate === null ? null : nameOf(candidate),
          shadow: other?.source === "model" ? digits(other.probability) : null,
          ...active.below(one),
        };
      }),
      nowMs,
    );
  }
}

function nameOf({ status }: RiskAssessor): string | null {
  return status.model === "ready" ? status.sha256!.slice(0, NAME_DIGITS) : null;
}

/** Six digits, so that a written board stays small. */
function digits(probability: number): number {
  return Number(probability.toFixed(6));
}
