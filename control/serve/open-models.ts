import type { Clock } from "../../common/clock.ts";
import { partOf } from "../change/ledger.ts";
import type { ModelChange } from "../checkpoint/record.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import { KnownChanges } from "../features/risk/known-changes.ts";
import { readServedModel } from "../forecast/model/served-model.ts";
import type { WorldSource } from "../forecast/model/world-source.ts";
import { readRiskModel } from "../forecast/risk/risk-manifest.ts";
import { LiveForecaster } from "../forecast/watch/live-forecaster.ts";
import { RISK_KIND } from "../forecast/watch/live-risks.ts";
import type { ChangeDesk } from "./change-desk.ts";
import { RiskBook } from "./change-risk.ts";
import { ExportWatch } from "./export-watch.ts";
import { type Inputs, readConfiguredEstate } from "./inputs.ts";
import { ModelDesk } from "./model-desk.ts";
import { type KeptModel, ModelFiles } from "./model-files.ts";
import { RiskDesk } from "./risk-desk.ts";
import { SharedModels } from "./shared-models.ts";

export interface OpenModelsOptions {
  inputs: Pick<Inputs, "config" | "services" | "changes" | "signature">;
  world: WorldSource;
  store: Pick<CheckpointStore, "keep" | "kept">;
  term: number;
  desk: ChangeDesk;
  clock: Clock;
  // biome-ignore lint/suspicious/noExplicitAny: what pino takes
  log: { info(fields: any, text: string): void; warn(fields: any, text: string): void };
}

/** What forecasts in a running server: demand always, change risk where ballast.yaml names a model; and who answers for their lives. */
export class OpenModels {
  readonly forecaster: LiveForecaster;
  readonly demand: ModelDesk;
  readonly risks: RiskBook | null;
  readonly risk: RiskDesk | null;
  readonly #watch: ExportWatch | null;

  private constructor(
    demand: { forecaster: LiveForecaster; desk: ModelDesk },
    risk: { book: RiskBook; desk: RiskDesk; watch: ExportWatch } | null,
  ) {
    this.forecaster = demand.forecaster;
    this.demand = demand.desk;
    this.risks = risk?.book ?? null;
    this.risk = risk?.desk ?? null;
    this.#watch = risk?.watch ?? null;
  }

  static async open(options: OpenModelsOptions): Promise<OpenModels> {
    const demand = await openDemand(options);
    try {
      return new OpenModels(demand, await openRisk(options));
    } catch (thrown) {
      demand.forecaster.close();
      throw thrown;
    }
  }

  /** Throws CHANGE_STALE or MODEL_NOT_READY when what the approver was shown of a model does not hold any more. */
  stillApplies(change: ModelChange): void {
    this.#deskOf(change)?.life.stillApplies(change);
  }

  /** A change of model is in force. */
  async committed(change: ModelChange): Promise<void> {
    await this.#deskOf(change)?.life.committed(change);
  }

  alarms(): string[] {
    return [...this.demand.alarms(), ...(this.risk?.alarms() ?? [])];
  }

  async stop(): Promise<void> {
    await this.#watch?.stop();
    await this.demand.life.stop();
    await this.risk?.life.stop();
    await this.risks?.stop();
    this.forecaster.close();
  }

  #deskOf({ from, to }: ModelChange): ModelDesk | RiskDesk | null {
    return partOf((to ?? from)!) === "risk" ? this.risk : this.demand;
  }
}

async function openDemand({ inputs: { config, services }, world, store, term, desk, log }: OpenModelsOptions) {
  const shared = new SharedModels({ store, term, part: "demand", log });
  const files = new ModelFiles(`${config.store.sqlite}.models`, (folder) => readServedModel(folder, world), shared);
  const forecaster = await LiveForecaster.open({
    modelDir: config.model ?? "",
    expectedServices: services.size,
    timeoutMs: config.forecast.timeoutMs,
    drift: config.forecast.drift,
    servedDir: config.forecast.served,
    world,
    onScored: (state) => {
      files.writeScores(state).catch((error: Error) => log.warn({ err: error }, "scores could not be kept"));
    },
    log,
  });
  const { minWindows, margin } = config.forecast.promotion;
  const rules = { minWindows, margin };
  const models = new ModelDesk({ configured: config.model ?? "", rules, live: forecaster, files, desk, log });
  await models.life.restore();
  return { forecaster, desk: models };
}

async function openRisk({ inputs, store, term, desk, log }: OpenModelsOptions) {
  const { config, services, changes } = inputs;
  if (config.riskModel === null || changes === null) return null;
  const book = await RiskBook.open({
    modelDir: config.riskModel,
    drift: config.forecast.drift,
    services,
    changes,
    keep: { store, term },
    log,
  });
  const { minChanges: minCases, margin } = config.forecast.promotion;
  const risk = new RiskDesk({
    configured: config.riskModel,
    rules: { minCases, margin },
    live: book.live,
    files: new ModelFiles(
      `${config.store.sqlite}.models/risk`,
      readKeptRisk,
      new SharedModels({ store, term, part: "risk", log }),
    ),
    desk,
    log,
  });
  await risk.life.restore();
  const watch = new ExportWatch({
    folder: config.estate.servicenow,
    read: inputs.signature,
    intervalMs: config.forecast.outcomesMs,
    onChange: async () => {
      book.learn(new KnownChanges(await readConfiguredEstate(config)));
      log.info(
        {},
        "the export has changed: how changes ended is read from it; its CIs and windows count from the next start on",
      );
    },
    onError: (error) => log.warn({ err: error }, "the export could not be read again"),
  });
  return { book, desk: risk, watch };
}

async function readKeptRisk(folder: string): Promise<KeptModel> {
  const { manifest, bytes } = await readRiskModel(folder);
  return { folder, bytes, sha256: manifest.sha256, kind: RISK_KIND };
}
