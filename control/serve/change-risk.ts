import { type CheckpointStore, MAX_KEEPSAKE_BYTES } from "../checkpoint/store.ts";
import type { KnownChanges } from "../features/risk/known-changes.ts";
import type { ForecastLog } from "../forecast/forecaster.ts";
import { type ChangeRisks, riskKey } from "../forecast/risk/risk.ts";
import type { NamedCase } from "../forecast/risk/risk-assessor.ts";
import type { DriftPolicy } from "../forecast/watch/live-forecaster.ts";
import { type LiveRiskStatus, LiveRisks } from "../forecast/watch/live-risks.ts";
import type { PlanInput } from "../plan/plan.ts";
import { riskWindows } from "../plan/risk.ts";

/** Changes that begin later are not assessed yet: what is known of them will change. */
const AHEAD_MS = 14 * 86_400_000;
const KEEPSAKE = "risk/board";
/** Real time between two writes of the board. */
const KEEP_MS = 10_000;

export interface RiskBookOptions {
  modelDir: string;
  drift: DriftPolicy;
  services: PlanInput["services"];
  changes: KnownChanges;
  /** Where forecasts wait for their outcome; null: they are forgotten with the book. */
  keep: { store: Pick<CheckpointStore, "keep" | "kept">; term: number } | null;
  log: ForecastLog;
}

/**
 * The risks of the changes that a plan may look at, and what became of those that are over. What a model said of a change
 * before it began is kept in the store until the export says how it ended.
 */
export class RiskBook {
  readonly live: LiveRisks;
  readonly #options: Omit<RiskBookOptions, "changes">;
  readonly #ciOf: ReadonlyMap<string, string>;
  #changes: KnownChanges;
  #fresh = false;
  #keeping: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  private constructor({ changes, ...options }: RiskBookOptions, live: LiveRisks) {
    this.#options = options;
    this.live = live;
    this.#changes = changes;
    const targets = [...options.services.values()].flatMap(({ estate }) => estate.targets);
    this.#ciOf = new Map(targets.map(({ name, ciId }) => [name, ciId]));
    if (options.keep === null) return;
    this.#timer = setInterval(() => {
      this.#keeping ??= this.#keep().finally(() => {
        this.#keeping = null;
      });
    }, KEEP_MS).unref();
  }

  /** A model that may not answer is no error: the rule answers, and `status()` says why. */
  static async open(options: RiskBookOptions): Promise<RiskBook> {
    const { modelDir, drift, keep, log } = options;
    const live = await LiveRisks.open({ modelDir, drift, log });
    try {
      const kept = (await keep?.store.kept(KEEPSAKE)) ?? null;
      if (kept !== null) live.restore(JSON.parse(kept.text));
    } catch (error) {
      log.warn({ err: error }, "risks that wait for their outcome are not read; they are not scored");
    }
    return new RiskBook(options, live);
  }

  /** A newer export: more may be known of how changes ended. */
  learn(changes: KnownChanges): void {
    this.#changes = changes;
  }

  async at(nowMs: number): Promise<ChangeRisks> {
    const { facts, history } = this.#changes;
    const cases: NamedCase[] = [];
    const steering = new Set<string>();
    for (const { estate, policy } of this.#options.services.values()) {
      for (const target of estate.targets) {
        const steered = new Set(riskWindows(target).map(({ window }) => window));
        // One that takes the target out is asked about as well: its risk moves nothing, but what becomes of it tells as much.
        const out = target.windows.filter(({ kind, remaining }) => kind === "change" && remaining === 0);
        for (const window of [...steered, ...out]) {
          const change = facts.get(window.provenance.sysId);
          const over = window.endMs + policy.returnAfterMs <= nowMs;
          if (change === undefined || over || window.startMs - policy.leadTimeMs - AHEAD_MS > nowMs) continue;
          cases.push({ facts: change, targetCi: target.ciId, distance: window.path.length - 1, target: target.name });
          if (steered.has(window)) steering.add(riskKey(change.sysId, target.name));
        }
      }
    }
    this.live.settle((change, target) => {
      const ciId = this.#ciOf.get(target);
      return ciId === undefined ? { is: "void" } : this.#changes.outcome(change, ciId, nowMs);
    }, nowMs);
    const risks = cases.length === 0 ? [] : await this.live.assess(cases, history, nowMs);
    this.#fresh = true;
    const named = risks.map((risk) => [riskKey(risk.change, risk.target), risk] as const);
    return new Map(named.filter(([key]) => steering.has(key)));
  }

  status(): LiveRiskStatus {
    return this.live.status();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#keeping;
    await this.live.settled();
    await this.#keep();
    this.live.close();
  }

  async #keep(): Promise<void> {
    const { keep, log } = this.#options;
    if (keep === null || !this.#fresh) return;
    this.#fresh = false;
    const text = JSON.stringify(this.live.board.state());
    if (Buffer.byteLength(text) > MAX_KEEPSAKE_BYTES)
      return log.warn({ bytes: text.length }, "risks that wait for their outcome are too many to be kept");
    await keep.store.keep(KEEPSAKE, text, { term: keep.term }).catch((error: unknown) => {
      log.warn({ err: error }, "risks that wait for their outcome could not be kept");
    });
  }
}
