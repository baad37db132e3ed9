import { join } from "node:path";
import { BallastError } from "../common/errors.ts";
import type { EstateTarget } from "../control/estate/estate.ts";
import type { Process, Processes } from "./processes.ts";
import type { Screen } from "./screen.ts";

const BACKEND = join(import.meta.dirname, "backend.ts");
const START_TIMEOUT_MS = 20_000;
/** A target that died without the calendar's doing (somebody killed it) comes back after this long, as after a repair. */
const REPAIR_MS = 20_000;

export interface TargetsOptions {
  targets: readonly Pick<EstateTarget, "name" | "capacityRps">[];
  ports: ReadonlyMap<string, number>;
  seed: number;
  processes: Processes;
  screen: Screen;
}

/** The target processes: started, stopped by the world's outages, and repaired when somebody else kills one. */
export class Targets {
  readonly #options: TargetsOptions;
  readonly #running = new Map<string, Process>();
  /** Taken out by the world: not to be repaired. */
  readonly #out = new Set<string>();

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /** Names of the targets without a process. */
  get down(): ReadonlySet<string> {
    return new Set(this.#options.targets.map((target) => target.name).filter((name) => !this.#running.has(name)));
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#options.targets.map((target) => this.#start(target.name)));
  }

  /** The host is gone from one moment to the next: SIGKILL, so that connections break and the port refuses. */
  takeOut(name: string): void {
    this.#out.add(name);
    this.#options.screen.message(`${name} goes out of service`);
    const running = this.#running.get(name);
    this.#running.delete(name);
    void running?.kill();
  }

  bringBack(name: string): void {
    this.#out.delete(name);
    this.#options.screen.message(`${name} is back in service`);
    void this.#startAgain(name);
  }

  async #startAgain(name: string): Promise<void> {
    try {
      await this.#start(name);
    } catch (thrown) {
      const { message } = BallastError.from(thrown, "DEMO_FAILED");
      this.#options.screen.message(`${name} did not come back: ${message}`);
    }
  }

  async #start(name: string): Promise<void> {
    const index = this.#options.targets.findIndex((target) => target.name === name);
    const target = this.#options.targets[index]!;
    const ready = Promise.withResolvers<void>();
    const running = await this.#options.processes.start({
      name,
      file: process.execPath,
      args: [
        BACKEND,
        ...["--target", name],
        ...["--port", String(this.#options.ports.get(name))],
        ...["--capacity", String(target.capacityRps)],
        ...["--seed", String(this.#options.seed + index)],
      ],
      ipc: true,
      onMessage: () => ready.resolve(),
      onExit: (how) => {
        ready.reject(new BallastError("DEMO_FAILED", `target ${name} ended: ${how}`));
        if (this.#running.get(name)?.pid === running.pid) this.#died(name, how);
      },
    });
    const timer = setTimeout(() => {
      ready.reject(
        new BallastError("DEMO_FAILED", `target ${name} does not listen after ${START_TIMEOUT_MS / 1000} s`),
      );
    }, START_TIMEOUT_MS);
    try {
      await ready.promise;
    } finally {
      clearTimeout(timer);
    }
    // The world may have taken it out again while it started.
    if (this.#out.has(name)) await running.kill();
    else this.#running.set(name, running);
  }

  #died(name: string, how: string): void {
    this.#running.delete(name);
    this.#options.screen.message(`${name} died (${how}); it is repaired in ${REPAIR_MS / 1000} s`);
    setTimeout(() => {
      if (!this.#out.has(name)) this.bringBack(name);
    }, REPAIR_MS).unref();
  }
}
