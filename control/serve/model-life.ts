import { BallastError } from "../../common/errors.ts";
import { type ModelPart, type ModelsState, modelsOf, TOPIC } from "../change/ledger.ts";
import type { ModelChange, ModelRef } from "../checkpoint/record.ts";
import { FallbackError, type FallbackReason } from "../forecast/reasons.ts";
import type { ChangeDesk } from "./change-desk.ts";
import type { ChangeAnswer, Changes } from "./changes.ts";
import type { KeptModel, ModelFiles } from "./model-files.ts";

/** What forecasts one part, with a candidate beside it. */
export interface LiveModels {
  status(): { model: string; sha256: string | null; kind: string | null; modelDir: string };
  /** The reason why the folder's model may not answer; null when it does from now on. */
  activate(folder: string, orNone?: boolean): Promise<FallbackReason | null>;
  shadow(folder: string, kept?: unknown): Promise<FallbackReason | null>;
  retire(): void;
}

export interface ModelLifeOptions {
  part: ModelPart;
  /** Folder of the model of ballast.yaml; empty: none. */
  configured: string;
  live: LiveModels;
  files: ModelFiles;
  desk: Pick<ChangeDesk, "state" | "note">;
  /** What a promotion is asked on; MODEL_NOT_READY while it does not suffice. */
  evidence: () => Pick<ModelChange, "evidence" | "riskEvidence">;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
  /** Real time until a promoted model that is not here is looked for again. Default 30 s. */
  seekMs?: number;
}

/** The store may have been away when this server took over, or a person brings the folder. */
const SEEK_MS = 30_000;

export interface ModelRequest {
  author: string;
  reason: string;
}

/**
 * The life of one part's models on this server: shadow, promotion and return go through the log and change control, and what the log says is
 * what forecasts. Errors: MODEL_REFUSED, MODEL_NO_CANDIDATE, MODEL_NOT_READY, MODEL_NO_FORMER, and those of change control.
 */
export class ModelLife {
  readonly #options: ModelLifeOptions;
  #alarms: { active: string | null; shadow: string | null } = { active: null, shadow: null };
  /** Exchanges of models run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #seeking: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ModelLifeOptions) {
    this.#options = options;
  }

  get state(): ModelsState {
    return modelsOf(this.#options.desk.state, this.#options.part);
  }

  get alarms(): string[] {
    const { active, shadow } = this.#alarms;
    const { champion, shadow: candidate } = this.state;
    const unshared = [champion, candidate].flatMap((model) => {
      const why = model === null ? null : this.#options.files.unshared(model.sha256);
      return why === null
        ? []
        : [`MODEL_UNSHARED: ${short(model!)} lies on this server alone (${why}); one that takes over does without it`];
    });
    return [active, shadow, ...unshared].filter((alarm) => alarm !== null);
  }

  /** Brings the forecaster to what the log says, at the start. */
  async restore(): Promise<void> {
    const { live, files } = this.#options;
    const { champion, shadow } = this.state;
    if (champion !== null) await this.#activate(champion);
    if (shadow !== null) {
      const reason =
        (await files.bring(shadow.sha256)) ?? (await live.shadow(files.folderOf(shadow.sha256), await files.scores()));
      this.#alarms.shadow =
        reason === null ? null : `MODEL_SHADOW: ${short(shadow)} does not forecast: ${reason.code}: ${reason.text}`;
    }
  }

  /** Looks for nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#seeking);
    await this.#turn;
    await this.#options.files.settled();
  }

  /** Lets the model of a folder on this machine forecast beside the active one, in place of another candidate. */
  shadow(request: ModelRequest & { folder: string }): Promise<void> {
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
    });
  }

  /** Ends the candidate's part. */
  retire(request: ModelRequest): Promise<void> {
    return this.#exclusively(async () => {
      const { live, desk, part } = this.#options;
      this.#candidate();
      const detail = { by: request.author, reason: request.reason, ...(part === "demand" ? {} : { part }) };
      await desk.note(TOPIC.retire, null, detail);
      live.retire();
      this.#alarms.shadow = null;
    });
  }

  /** Proposes the candidate: a normal change that waits for somebody other than the author. */
  async promote(changes: Pick<Changes, "promoteModel">, request: ModelRequest): Promise<ChangeAnswer> {
    const to = this.#candidate();
    const evidence = this.#options.evidence();
    const from = await this.#exclusively(() => this.#inUse());
    return changes.promoteModel({ change: { from, to, kind: "promote", ...evidence }, ...request });
  }

  /** Returns to the former model at once; the approval is owed. */
  async rollback(changes: Pick<Changes, "rollbackModel">, request: ModelRequest): Promise<{ epoch: number }> {
    const { champion, former } = this.state;
    if (champion === null) throw new BallastError("MODEL_NO_FORMER", "no model was promoted");
    const to = former.at(-1) ?? null;
    const lacks = to === null ? null : await this.#options.files.bring(to.sha256);
    if (lacks !== null) throw new BallastError("MODEL_REFUSED", `the former model ${short(to!)} is ${lacks.text}`);
    // One that does not answer here is left all the same: the record names the one that was promoted.
    const from = (await this.#exclusively(() => this.#inUse())) ?? champion;
    const { epoch } = await changes.rollbackModel({ change: { from, to, kind: "rollback" }, ...request });
    return { epoch };
  }

  /** At approval: the same candidate, the same model in use, and scores that still suffice. */
  stillApplies({ from, to, kind }: ModelChange): void {
    if (kind !== "promote") return;
    if (to === null || this.state.shadow?.sha256 !== to.sha256)
      throw new BallastError("CHANGE_STALE", "the model is no candidate any more");
    const { live, evidence } = this.#options;
    if ((live.status().sha256 ?? null) !== (from?.sha256 ?? null))
      throw new BallastError("CHANGE_STALE", "another model steers than when it was proposed");
    evidence();
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
    const lacks = await files.bring(champion.sha256);
    if (lacks !== null) this.#seekLater();
    const reason = lacks ?? (await live.activate(files.folderOf(champion.sha256)));
    const before = this.#alarms.active;
    this.#alarms.active =
      reason === null
        ? null
        : `MODEL_MISSING: the promoted model ${short(champion)} cannot answer here (${reason.code}: ${reason.text}); ${live.status().sha256?.slice(0, 12) ?? "no model"} does`;
    if (reason === null) log.info({ sha256: champion.sha256 }, "the promoted model forecasts");
    else if (this.#alarms.active !== before) log.warn({ ...reason }, "the promoted model cannot answer");
  }

  #seekLater(): void {
    if (this.#stopped) return;
    clearTimeout(this.#seeking);
    this.#seeking = setTimeout(() => {
      this.#exclusively(async () => {
        const { champion } = this.state;
        if (champion !== null && this.#alarms.active !== null && !this.#stopped) await this.#activate(champion);
      }).catch((error: Error) => this.#options.log.warn({ err: error }, "the promoted model could not be looked for"));
    }, this.#options.seekMs ?? SEEK_MS).unref();
  }

  /** The model in use, kept here so that a return finds it; null when none answers. */
  async #inUse(): Promise<ModelRef | null> {
    const { model, modelDir, sha256, kind } = this.#options.live.status();
    if (model === "refused" || sha256 === null || kind === null) return null;
    const kept = await this.#keep(modelDir);
    if (kept.sha256 !== sha256)
      throw new BallastError("MODEL_REFUSED", `${modelDir} is not the model any more that was read from there`);
    const { champion } = this.state;
    // Where the promoted one is missing another answers: what is recorded is the one that does.
    return champion?.sha256 === sha256 ? champion : { sha256, kind, folder: modelDir };
  }

  /** Copies of models that nothing can come back to are dropped; one that waits for its approval is the candidate. */
  async #prune(): Promise<void> {
    const { files, live } = this.#options;
    const { champion, former, shadow } = this.state;
    await files.prune(
      [champion, ...former, shadow].map((one) => one?.sha256).concat(live.status().sha256 ?? undefined),
    );
  }

  #candidate(): ModelRef {
    const { shadow } = this.state;
    if (shadow === null) throw new BallastError("MODEL_NO_CANDIDATE", "no model forecasts in shadow");
    return shadow;
  }

  async #keep(folder: string): Promise<KeptModel> {
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

/** The comparison of a candidate that may be proposed; else MODEL_NOT_READY says what it lacks. */
export function ready<C extends { missing: string[] }>(comparison: C | null): C {
  if (comparison === null) throw new BallastError("MODEL_NOT_READY", "the candidate does not forecast");
  if (comparison.missing.length > 0) throw new BallastError("MODEL_NOT_READY", comparison.missing.join("; "));
  return comparison;
}
