import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { virtualClock } from "../common/clock.ts";
import { BallastError } from "../common/errors.ts";
import type { Io } from "../control/cli/io.ts";
import { PPM } from "../control/plan/plan.ts";
import { ControlServer } from "./control-server.ts";
import { lastWeek } from "./day-profile.ts";
import { countRetries, envoyReady } from "./envoy-admin.ts";
import type { LoadMessage, LoadReport, LoadService } from "./load-messages.ts";
import { type PreparedDemo, prepareDemo, SESSION_COOKIE } from "./prepare.ts";
import { type Process, Processes } from "./processes.ts";
import { closingLine, type DemoResult, summarise } from "./result.ts";
import { Screen } from "./screen.ts";
import type { EpochEvent } from "./server-event.ts";
import { Targets } from "./targets.ts";
import { outagesOf, World } from "./world.ts";

export interface DemoOptions {
  configPath: string;
  /** False: Envoy's static weights alone. */
  ballast: boolean;
  /** Ends by itself at this demo second; null: runs until it is told to end. */
  seconds: number | null;
  json: boolean;
  seed: number;
  portBase: number | null;
}

/** The load generator's own start, with the search for its session keys, takes less. */
const LOAD_START_MS = 1500;
const READY_TIMEOUT_MS = 30_000;
/** The load generator waits up to 10 s for the answers that are under way. */
const RESULT_TIMEOUT_MS = 15_000;
const WORLD_TICK_MS = 50;
/** Workers of the demo's Envoy. */
const ENVOY_CONCURRENCY = 2;

const NODE = process.execPath;
const LOAD = join(import.meta.dirname, "load.ts");

/** Runs the demo until `--seconds` or a signal; returns the exit code. Whatever happens, no process stays behind. */
export async function runDemo(options: DemoOptions, io: Io): Promise<number> {
  const screen = new Screen(io, { toStderr: options.json });
  const prepared = await prepareDemo({ ...options, onProgress: (text) => screen.message(text) });
  const processes = new Processes(prepared.runDir);
  try {
    const demo = new Demo(options, prepared, processes, screen);
    const result = await demo.run();
    if (options.json) screen.result(JSON.stringify(result));
    else screen.closing(closingLine(result));
    return 0;
  } finally {
    await processes.close();
  }
}

class Demo {
  readonly #options: DemoOptions;
  readonly #prepared: PreparedDemo;
  readonly #processes: Processes;
  readonly #screen: Screen;
  /** Of each service, from the newest epoch. */
  readonly #whys = new Map<string, string>();
  readonly #targets: Targets;
  readonly #world: World;
  readonly #slots: number;
  readonly #epochs: { epoch: number; at_s: number; why: string }[] = [];
  #load: Process | null = null;
  #control: ControlServer | null = null;
  #clock = { startMs: 0, anchorMs: 0, rate: 1 };
  #report: LoadReport | null = null;
  /** Wall time from which everything is counted; null before the first activation. */
  #countedFromMs: number | null = null;
  #retriesBefore = 0;
  readonly #end = Promise.withResolvers<void>();
  readonly #result = Promise.withResolvers<LoadReport>();

  constructor(options: DemoOptions, prepared: PreparedDemo, processes: Processes, screen: Screen) {
    this.#options = options;
    this.#prepared = prepared;
    this.#processes = processes;
    this.#screen = screen;
    const { estate, config } = prepared.inputs;
    this.#slots = config.tables.slots;
    const targets = [...estate.services.values()].flatMap((service) => service.targets);
    this.#world = new World(new Map(targets.map((target) => [target.name, outagesOf(target.windows)])));
    this.#targets = new Targets({ targets, ports: prepared.ports.targets, seed: options.seed, processes, screen });
  }

  async run(): Promise<DemoResult> {
    // Both may be rejected while nobody awaits them yet.
    this.#end.promise.catch(() => {});
    this.#result.promise.catch(() => {});
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    const onSignal = (): void => this.#end.resolve();
    for (const signal of signals) process.on(signal, onSignal);
    // A reader that went away (`| head`) ends the demo like Ctrl-C.
    process.stdout.on("error", onSignal);
    try {
      await this.#start();
      await this.#live();
      return await this.#finish();
    } finally {
      for (const signal of signals) process.off(signal, onSignal);
    }
  }

  async #start(): Promise<void> {
    const { ports, runDir, bootstrapPath, envoyPath, inputs } = this.#prepared;
    this.#screen.message(`starting ${ports.targets.size} targets, Envoy and the load generator; logs in ${runDir}`);
    const startedMs = performance.now();
    await this.#targets.startAll();
    await this.#processes.start({
      name: "envoy",
      file: envoyPath,
      args: [
        "-c",
        bootstrapPath,
        "--concurrency",
        String(ENVOY_CONCURRENCY),
        "--disable-hot-restart",
        "--log-level",
        "warning",
      ],
      onExit: (how) => this.#fail("envoy", how),
    });
    await this.#waitForEnvoy();

    const { clock } = inputs.config;
    const anchorMs = Date.now() + runUpMs(this.#options.ballast, performance.now() - startedMs);
    this.#clock = { startMs: clock?.startMs ?? anchorMs, anchorMs, rate: clock?.rate ?? 1 };
    await this.#startLoad();
    if (this.#options.ballast) {
      this.#control = new ControlServer({
        configPath: this.#prepared.configPath,
        anchorMs,
        runDir,
        processes: this.#processes,
        onEpoch: (event) => this.#activated(event),
        onMessage: (text) => this.#screen.message(text),
        onGivenUp: (error) => this.#end.reject(error),
      });
      await this.#control.start();
    } else {
      this.#countFrom(anchorMs);
    }
    this.#screen.message(
      `Envoy listens on http://127.0.0.1:${ports.listen}, its admin endpoint on http://127.0.0.1:${ports.admin}`,
    );
  }

  async #waitForEnvoy(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await envoyReady(this.#prepared.ports.admin))) {
      if (Date.now() > deadline) throw this.#failure("envoy", `not ready after ${READY_TIMEOUT_MS / 1000} s`);
      // An Envoy that refused its configuration has ended by now, which rejects this race.
      await Promise.race([sleep(100), this.#end.promise]);
    }
  }

  async #startLoad(): Promise<void> {
    const { inputs, ports } = this.#prepared;
    const services = [...inputs.config.services.values()].map((service): LoadService => {
      const series = inputs.history.upTo(service.name, Number.MAX_SAFE_INTEGER);
      const base = [...service.targets.values()].map((target) => [target.name, target.basePpm / PPM] as const);
      return {
        name: service.name,
        sessions: service.sessions !== null,
        base: Object.fromEntries(base),
        week: lastWeek(series, inputs.history.stepMs),
      };
    });
    this.#load = await this.#processes.start({
      name: "load",
      file: NODE,
      args: [LOAD],
      ipc: true,
      onMessage: (message) => this.#reported(message as LoadReport),
      onExit: (how) => this.#fail("load", how),
    });
    this.#tell({
      kind: "start",
      fromMs: Date.now() + LOAD_START_MS,
      seed: this.#options.seed,
      fleet: inputs.config.fleet,
      slots: this.#slots,
      port: ports.listen,
      sessionCookie: SESSION_COOKIE,
      clock: this.#clock,
      services,
    });
  }

  /** Plays the world until the time is up or somebody ends it. */
  async #live(): Promise<void> {
    const clock = virtualClock(this.#clock);
    const ticker = setInterval(() => {
      const { stop, start } = this.#world.tick(clock.nowMs());
      for (const target of stop) this.#targets.takeOut(target);
      for (const target of start) this.#targets.bringBack(target);
    }, WORLD_TICK_MS);
    const { seconds } = this.#options;
    const timeUp = new AbortController();
    try {
      const endMs = seconds === null ? Number.POSITIVE_INFINITY : this.#clock.anchorMs + seconds * 1000;
      const waits = [this.#end.promise];
      if (Number.isFinite(endMs)) waits.push(sleep(endMs - Date.now(), undefined, { signal: timeUp.signal }));
      await Promise.race(waits);
    } finally {
      clearInterval(ticker);
      timeUp.abort();
    }
  }

  async #finish(): Promise<DemoResult> {
    this.#tell({ kind: "finish" });
    const late = setTimeout(() => {
      this.#result.reject(this.#failure("load", "it did not report its result"));
    }, RESULT_TIMEOUT_MS);
    const report = await this.#result.promise;
    clearTimeout(late);
    const retries = await countRetries(this.#prepared.ports.admin, new Set(this.#prepared.ports.targets.keys()));
    const forecast = this.#control === null ? null : await this.#control.forecast(this.#prepared.inputs.config.model);
    return summarise({
      report,
      epochs: this.#epochs,
      retries: (retries ?? 0) - this.#retriesBefore,
      forecast,
    });
  }

  #activated(event: EpochEvent): void {
    if (this.#countedFromMs === null) {
      this.#countFrom(event.at_ms);
      const lateMs = event.at_ms - this.#clock.anchorMs;
      if (lateMs > 1000) this.#screen.message(`the first epoch came ${(lateMs / 1000).toFixed(1)} s after second 0`);
    }
    const atSeconds = (event.at_ms - this.#clock.anchorMs) / 1000;
    this.#epochs.push({ epoch: event.epoch, at_s: Number(atSeconds.toFixed(3)), why: event.why });
    for (const [name, { why }] of Object.entries(event.services)) if (why !== undefined) this.#whys.set(name, why);
    this.#tell({ kind: "epoch", event });
    this.#screen.message(`[${atSeconds.toFixed(1).padStart(6)} s] epoch ${event.epoch}: ${event.why}`);
  }

  #countFrom(fromMs: number): void {
    this.#countedFromMs = fromMs;
    this.#tell({ kind: "count", fromMs });
    countRetries(this.#prepared.ports.admin, new Set(this.#prepared.ports.targets.keys())).then((retries) => {
      this.#retriesBefore = retries ?? 0;
    });
  }

  #reported(report: LoadReport): void {
    this.#report = report;
    if (report.kind === "result") {
      this.#result.resolve(report);
      return;
    }
    const nowMs = Date.now();
    let requests = 0;
    let errors = 0;
    for (const { totals } of Object.values(report.services)) {
      requests += totals.requests;
      errors += totals.errors;
    }
    const last = this.#epochs.at(-1);
    this.#screen.update({
      second: (nowMs - this.#clock.anchorMs) / 1000,
      calendarMs: virtualClock(this.#clock).nowMs(),
      epoch: last?.epoch ?? null,
      whys: this.#whysOf(report),
      windowSeconds: report.windowSeconds,
      services: Object.fromEntries(Object.entries(report.services).map(([name, { recent }]) => [name, recent])),
      totals: { requests, errors, sessionsMoved: report.moves.sessionsMoved },
      down: this.#targets.down,
    });
  }

  /** The reasons of the services that are off their base; without one, a word on where things stand. */
  #whysOf(report: LoadReport): string[] {
    if (!this.#options.ballast) return ["static weights, without Ballast"];
    if (this.#epochs.length === 0) return ["waiting for the first epoch"];
    const off = Object.entries(report.services).filter(([, { recent }]) =>
      Object.values(recent.targets).some(({ base, planned }) => Math.abs(base - planned) > 0.0005),
    );
    return off.length === 0
      ? ["every service has its base weights"]
      : off.map(([name]) => this.#whys.get(name) ?? name);
  }

  #tell(message: LoadMessage): void {
    const child = this.#load?.child;
    if (child?.connected) child.send(message);
  }

  #fail(name: string, how: string): void {
    // The load generator ends by itself once it has reported its result.
    if (name === "load" && this.#report?.kind === "result") return;
    const error = this.#failure(name, how);
    this.#end.reject(error);
    this.#result.reject(error);
  }

  #failure(name: string, how: string): BallastError {
    return new BallastError("DEMO_FAILED", `${name} ended: ${how}`, {
      hint: `See ${join(this.#prepared.runDir, `${name}.log`)}.`,
    });
  }
}

/**
 * From the start of the control server to demo second 0, in which it must read, plan and activate its first epoch. How long that takes
 * depends on the machine, so it is measured by how long the targets and Envoy took to come up.
 */
function runUpMs(ballast: boolean, startMs: number): number {
  return ballast ? Math.min(20_000, Math.max(6000, 4 * startMs)) : 2 * LOAD_START_MS;
}
