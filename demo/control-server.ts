import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../common/errors.ts";
import { manifestSchema } from "../control/forecast/demand-manifest.ts";
import { MANIFEST_FILE } from "../control/forecast/model-file.ts";
import type { Processes } from "./processes.ts";
import type { DemoForecast } from "./result.ts";
import { type EpochEvent, parseServerEvent } from "./server-event.ts";

const MAIN = join(import.meta.dirname, "..", "control", "cli", "main.ts");
/** A server that ends more often than this within the span will not be cured by another start. */
const MAX_RESTARTS = 5;
const RESTART_SPAN_MS = 60_000;
const RESTART_DELAY_MS = 1000;

export interface ControlServerOptions {
  configPath: string;
  /** Wall time of demo second 0: a server that is started again finds the same calendar. */
  anchorMs: number;
  runDir: string;
  processes: Processes;
  onEpoch: (event: EpochEvent) => void;
  onMessage: (text: string) => void;
  onGivenUp: (error: BallastError) => void;
}

/** The control server as a child process: watched, started again when it dies, its events passed on. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  #endedAtMs: number[] = [];
  #lastEpoch = 0;
  #forecastSource = "none";

  constructor(options: ControlServerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { configPath, anchorMs, processes } = this.#options;
    await processes.start({
      name: "control",
      file: process.execPath,
      args: [MAIN, "serve", "--config", configPath, "--anchor", String(anchorMs), "--events"],
      onLine: (line) => this.#read(line),
      onExit: (how) => void this.#restart(how),
    });
  }

  #read(line: string): void {
    const event = parseServerEvent(line);
    if (event === null) return;
    if (event.event === "error") this.#options.onMessage(`control server: ${event.message}`);
    if (event.event !== "epoch") return;
    if (event.forecast !== undefined) this.#forecastSource = event.forecast.source;
    // A server that comes back may tell again what already holds.
    if (event.epoch <= this.#lastEpoch) return;
    this.#lastEpoch = event.epoch;
    this.#options.onEpoch(event);
  }

  async #restart(how: string): Promise<void> {
    const nowMs = Date.now();
    this.#endedAtMs = [...this.#endedAtMs.filter((atMs) => nowMs - atMs < RESTART_SPAN_MS), nowMs];
    if (this.#endedAtMs.length > MAX_RESTARTS) {
      const lastWords = await this.#lastWords();
      const text = `the control server ended ${this.#endedAtMs.length} times within a minute (${how})${lastWords}`;
      this.#options.onGivenUp(new BallastError("DEMO_FAILED", text, { hint: `See ${this.#logPath}.` }));
      return;
    }
    this.#options.onMessage(`the control server ended (${how}); it is started again, Envoy goes on with what it has`);
    await sleep(RESTART_DELAY_MS);
    try {
      await this.start();
    } catch (thrown) {
      this.#options.onGivenUp(BallastError.from(thrown, "DEMO_FAILED"));
    }
  }

  /** The link of the forecast chain behind the last epoch, with the backtest that stands in the model's manifest. */
  async forecast(modelDir: string | null): Promise<DemoForecast> {
    const forecast: DemoForecast = { source: this.#forecastSource, mase: null, seasonal_naive_mase: null };
    if (modelDir === null) return forecast;
    try {
      const manifest = manifestSchema.parse(JSON.parse(await readFile(join(modelDir, MANIFEST_FILE), "utf8")));
      const { model, seasonal_naive_weekly: weekly } = manifest.backtest.scores;
      return { ...forecast, mase: model.mase, seasonal_naive_mase: weekly.mase };
    } catch {
      // No model or one with another manifest: then the server answered from a fall-back, and `source` says so.
      return forecast;
    }
  }

  get #logPath(): string {
    return join(this.#options.runDir, "control.log");
  }

  async #lastWords(): Promise<string> {
    const log = await readFile(this.#logPath, "utf8").catch(() => "");
    const lines = log.split("\n").filter((line) => line.trim() !== "");
    return lines.length === 0 ? "" : `; its last words: ${lines.slice(-3).join(" / ")}`;
  }
}
