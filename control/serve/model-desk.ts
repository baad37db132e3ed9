import { BallastError } from "../../common/errors.ts";
import { TOPIC } from "../change/ledger.ts";
import type { ModelChange, ModelRef } from "../checkpoint/record.ts";
import type { ForecastConfig } from "../config/forecast.ts";
import type { ServedModel } from "../forecast/model/served-model.ts";
import { FallbackError } from "../forecast/reasons.ts";
import type { LiveForecaster, LiveStatus } from "../forecast/watch/live-forecaster.ts";
import type { WindowScores } from "../forecast/watch/outcomes.ts";
import type { Comparison } from "../forecast/watch/shadow-board.ts";
import type { ChangeDesk } from "./change-desk.ts";
import type { ChangeAnswer, Changes } from "./changes.ts";
import type { ModelFiles } from "./model-files.ts";

export interface ModelDeskOptions {
  /** Folder of the model of ballast.yaml; empty: none. */
  configured: string;
  rules: ForecastConfig["promotion"];
  live: LiveForecaster;
  files: ModelFiles;
  desk: Pick<ChangeDesk, "state" | "note">;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

export interface ModelView {
  active: LiveStatus;
  /** The promoted model; null: that of ballast.yaml. */
  champion: ModelRef | null;
  former: readonly ModelRef[];
  candidate: ModelRef | null;
  rules: ForecastConfig["promotion"];
  /** Null without a candidate that forecasts. */
  comparison: ComparisonView | null;
  /** What a person should look at, one sentence each. */
  alarms: string[];
}

/** Scores as JSON can say them: null where nothing was observed. */
export interface ScoresView {
  windows: number;
  steps: number;
  mase: number | null;
  wql: number | null;
  coverage: (number | null)[];
}

export interface ComparisonView extends Pick<Comparison, "windows" | "won" | "missing"> {
  active: ScoresView;
  candidate: ScoresView;
  seasonalNaive: ScoresView;
}

export interface ModelRequest {
  author: string;
  reason: string;
}

/**
 * The life of models on this server: shadow, promotion and return go through the log and change control, and what the log says is what
 * forecasts. Errors: MODEL_REFUSED, MODEL_NO_CANDIDATE, MODEL_NOT_READY, MODEL_NO_FORMER, and those of change control.
 */
export class ModelDesk {
  readonly #options: ModelDeskOptions;
  #alarms: { active: string | null; shadow: string | null } = { active: null, shadow: null };
  /** Exchanges of models run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ModelDeskOptions) {
    this.#options = options;
  }

  /** Brings the forecaster to what the log says, at the start. */
  async restore(): Promise<void> {
    const { desk, live, files } = this.#options;
    const { champion, shadow } = desk.state.models;
    if (champion !== null) await this.#activate(champion);
    if (shadow !== null) {
      const reason = await live.shadow(files.folderOf(shadow.sha256), await files.scores());
      this.#alarms.shadow =
        reason === null ? null : `MODEL_SHADOW: ${short(shadow)} does not forecast: ${reason.code}: ${reason.text}`;
    }
  }

  view(): ModelView {
    const { live, rules, desk } = this.#options;
    const { champion, former, shadow } = desk.state.models;
    return {
      active: live.status(),
      champion,
      former,
      candidate: shadow,
      rules,
      comparison: comparisonView(live.comparison(rules)),
      alarms: this.alarms(),
    };
  }

  alarms(): string[] {
    const { active, shadow } = this.#alarms;
    const { verdict, text, policy } = this.#options.live.status().drift;
    const answers = policy === "fallback" ? "baselines answer" : "it goes on answering";
    return [
      ...(active === null ? [] : [active]),
      ...(shadow === null ? [] : [shadow]),
      ...(verdict === "drifted" ? [`MODEL_DRIFT: ${text}; ${answers}`] : []),
    ];
  }

  /** Lets the model of a folder on this machine forecast beside the active one, in place of another candidate. */
  shadow(request: ModelRequest & { folder: string }): Promise<ModelView> {
    return this.#exclusively(async () => {
      const { live, desk } = this.#options;
      const kept = await this.#keep(request.folder);
      if (kept.sha256 === live.status().sha256)
        throw new BallastError("MODEL_REFUSED", `${request.folder} is the model that steers already`);
      const reason = await live.shadow(kept.folder);
      if (reason !== null) throw new BallastError("MODEL_REFUSED", `${reason.code}: ${reason.text}`);
      const model: ModelRef = { sha256: kept.sha256, kind: kept.kind, folder: request.folder };
      await desk.note(TOPIC.shadow, null, { model, by: request.author, reason: request.reason });
      this.#alarms.shadow = null;
      await this.#prune();
      return this.view();
    });
  }

  /** Ends the candidate's part. */
  retire(request: ModelRequest): Promise<ModelView> {
    return this.#exclusively(async () => {
      const { live, desk } = this.#options;
      this.#candidate();
      await desk.note(TOPIC.retire, null, { by: request.author, reason: request.reason });
      live.retire();
      this.#alarms.shadow = null;
      return this.view();
    });
  }

  /** Proposes the candidate: a normal change that waits for somebody other than the author. */
  async promote(changes: Pick<Changes, "promoteModel">, request: ModelRequest): Promise<ChangeAnswer> {
    const to = this.#candidate();
    const { active, candidate, seasonalNaive, windows, won } = this.#ready();
    const of = ({ mase, wql, coverage }: WindowScores) => ({ mase, wql, coverage });
    const evidence = {
      windows,
      won,
      scores: { active: of(active), candidate: of(candidate), seasonalNaive: of(seasonalNaive) },
    };
    const from = await this.#exclusively(() => this.#inUse());
    return changes.promoteModel({ change: { from, to, kind: "promote", evidence }, ...request });
  }

  /** Returns to the former model at once; the approval is owed. */
  async rollback(changes: Pick<Changes, "rollbackModel">, request: ModelRequest): Promise<{ epoch: number }> {
    const { files, desk } = this.#options;
    const { champion, former } = desk.state.models;
    if (champion === null) throw new BallastError("MODEL_NO_FORMER", "no model was promoted");
    const to = former.at(-1) ?? null;
    if (to !== null && !(await files.holds(to.sha256)))
      throw new BallastError("MODEL_REFUSED", `the former model ${short(to)} is not on this server`);
    const from = await this.#exclusively(() => this.#inUse());
    const { epoch } = await changes.rollbackModel({ change: { from, to, kind: "rollback" }, ...request });
    return { epoch };
  }

  /** At approval: the same candidate, the same model in use, and scores that still suffice. */
  stillApplies({ from, to, kind }: ModelChange): void {
    if (kind !== "promote") return;
    const { live, desk } = this.#options;
    if (to === null || desk.state.models.shadow?.sha256 !== to.sha256)
      throw new BallastError("CHANGE_STALE", "the model is no candidate any more");
    if ((live.status().sha256 ?? null) !== (from?.sha256 ?? null))
      throw new BallastError("CHANGE_STALE", "another model steers than when it was proposed");
    this.#ready();
  }

  /** A change of model is in force: it forecasts from the next step on. */
  committed({ to }: ModelChange): Promise<void> {
    return this.#exclusively(async () => {
      this.#options.live.retire();
      this.#alarms.shadow = null;
      if (to !== null) return this.#activate(to);
      await this.#options.live.activate(this.#options.configured, true);
      this.#alarms.active = null;
    });
  }

  async #activate(champion: ModelRef): Promise<void> {
    const { live, files, log } = this.#options;
    const reason = await live.activate(files.folderOf(champion.sha256));
    this.#alarms.active =
      reason === null
        ? null
        : `MODEL_MISSING: the promoted model ${short(champion)} cannot answer here (${reason.code}: ${reason.text}); ${live.status().sha256?.slice(0, 12) ?? "no model"} does`;
    if (reason === null) log.info({ sha256: champion.sha256 }, "the promoted model forecasts");
    else log.warn({ ...reason }, "the promoted model cannot answer");
  }

  /** The model in use, kept here so that a return finds it; null when baselines answer. */
  async #inUse(): Promise<ModelRef | null> {
    const { live } = this.#options;
    const { model, modelDir, sha256, kind } = live.status();
    if (model === "refused" || sha256 === null || kind === null) return null;
    const kept = await this.#keep(modelDir);
    if (kept.sha256 !== sha256)
      throw new BallastError("MODEL_REFUSED", `${modelDir} is not the model any more that was read from there`);
    return this.#options.desk.state.models.champion ?? { sha256, kind, folder: modelDir };
  }

  /** Copies of models that nothing can come back to are dropped; one that waits for its approval is the candidate. */
  async #prune(): Promise<void> {
    const { desk, files, live } = this.#options;
    const { champion, former, shadow } = desk.state.models;
    await files.prune(
      [champion, ...former, shadow].map((one) => one?.sha256).concat(live.status().sha256 ?? undefined),
    );
  }

  #candidate(): ModelRef {
    const { shadow } = this.#options.desk.state.models;
    if (shadow === null) throw new BallastError("MODEL_NO_CANDIDATE", "no model forecasts in shadow");
    return shadow;
  }

  #ready(): Comparison {
    const comparison = this.#options.live.comparison(this.#options.rules);
    if (comparison === null) throw new BallastError("MODEL_NOT_READY", "the candidate does not forecast");
    if (comparison.missing.length > 0) throw new BallastError("MODEL_NOT_READY", comparison.missing.join("; "));
    return comparison;
  }

  async #keep(folder: string): Promise<ServedModel> {
    try {
      return await this.#options.files.keep(folder);
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      throw new BallastError("MODEL_REFUSED", `${thrown.reason.code}: ${thrown.reason.text}`, { cause: thrown });
    }
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

function short({ sha256 }: ModelRef): string {
  return sha256.slice(0, 12);
}

function comparisonView(comparison: Comparison | null): ComparisonView | null {
  if (comparison === null) return null;
  const { windows, won, missing } = comparison;
  const of = ({ mase, wql, coverage, ...counts }: WindowScores): ScoresView => ({
    ...counts,
    mase: finite(mase),
    wql: finite(wql),
    coverage: coverage.map(finite),
  });
  return {
    windows,
    won,
    missing,
    active: of(comparison.active),
    candidate: of(comparison.candidate),
    seasonalNaive: of(comparison.seasonalNaive),
  };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
