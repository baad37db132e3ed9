import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Step } from "../../control/serve/steps.ts";
import type { Process } from "../../demo/processes.ts";
import type { Rig } from "../e2e/fixture/rig.ts";
import { until } from "../e2e/fixture/wait.ts";

const MAIN = join(import.meta.dirname, "..", "..", "control", "cli", "main.ts");

export interface Paused {
  step: Step;
  epoch: number | null;
}

/** One `ballast serve --standby`: killed, paused, started again, and held at a step of an epoch's life. */
export class ServerProcess {
  readonly name: string;
  readonly configPath: string;
  readonly xdsHost: string;
  readonly xdsPort: number;
  readonly apiPort: number;
  /** Epochs in the order in which it told them, over all its lives. */
  readonly epochs: number[] = [];
  readonly paused: Paused[] = [];
  readonly errors: string[] = [];
  /** Turns as leader. */
  turns = 0;
  readonly #rig: Rig;
  readonly #pauseFile: string;
  readonly #env: Readonly<Record<string, string>>;
  /** Put before the command, such as `ip netns exec NAME`. */
  readonly #wrapper: readonly string[];
  #process: Process | null = null;
  ended: string | null = null;

  constructor(
    rig: Rig,
    at: {
      name: string;
      configPath: string;
      xdsHost: string;
      xdsPort: number;
      apiPort: number;
      env?: Readonly<Record<string, string>>;
      wrapper?: readonly string[];
    },
  ) {
    this.#rig = rig;
    this.name = at.name;
    this.configPath = at.configPath;
    this.xdsHost = at.xdsHost;
    this.xdsPort = at.xdsPort;
    this.apiPort = at.apiPort;
    this.#env = at.env ?? {};
    this.#wrapper = at.wrapper ?? [];
    this.#pauseFile = join(rig.folder, `${at.name}.pause`);
  }

  async start(): Promise<void> {
    this.ended = null;
    const env = { BALLAST_PAUSE_FILE: this.#pauseFile, ...this.#env };
    const command = [process.execPath, MAIN, "serve", "--config", this.configPath, "--events", "--standby"];
    const [file, ...args] = [
      ...this.#wrapper,
      "env",
      ...Object.entries(env).map(([key, value]) => `${key}=${value}`),
      ...command,
    ];
    this.#process = await this.#rig.processes.start({
      name: this.name,
      file: file!,
      args,
      onLine: (line) => this.#read(line),
      onExit: (how) => {
        this.ended = how;
      },
    });
  }

  #read(line: string): void {
    const event = JSON.parse(line) as { event: string; epoch?: number; message?: string };
    if (event.event === "ready") this.turns++;
    if (event.event === "epoch") this.epochs.push(event.epoch!);
    if (event.event === "error") this.errors.push(event.message!);
    if (event.event === "paused") this.paused.push(event as unknown as Paused);
  }

  /** An epoch that comes to this step goes no further until `release`. */
  hold(step: Step): Promise<void> {
    return writeFile(this.#pauseFile, step);
  }

  release(): Promise<void> {
    return writeFile(this.#pauseFile, "");
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
    this.ended = "SIGKILL";
  }

  async stop(): Promise<void> {
    await this.#process?.stop(20_000);
    this.ended = "SIGTERM";
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#process!.child.kill(signal);
  }

  /** What /readyz says; null when nobody answers. */
  async role(): Promise<"leader" | "standby" | "starting" | null> {
    const answer = await this.api("GET", "/readyz", undefined, 1_000).catch(() => null);
    return answer === null ? null : ((answer.body as { role?: "leader" | "standby" | "starting" }).role ?? null);
  }

  async api(
    method: "GET" | "POST",
    path: string,
    body?: object,
    timeoutMs = 30_000,
  ): Promise<{ status: number; body: unknown }> {
    if (this.#wrapper.length > 0) return this.#apiInside(method, path, body, timeoutMs);
    const response = await fetch(`http://127.0.0.1:${this.apiPort}${path}`, {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    return { status: response.status, body: await response.json() };
  }

  /** From within its own network, whose loopback is not ours. */
  async #apiInside(
    method: string,
    path: string,
    body: object | undefined,
    timeoutMs: number,
  ): Promise<{ status: number; body: unknown }> {
    const content = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const options = { method, ...(body === undefined ? {} : content) };
    const script =
      `const r = await fetch("http://127.0.0.1:${this.apiPort}${path}", ${JSON.stringify(options)});` +
      "console.log(JSON.stringify({ status: r.status, body: await r.json() }))";
    const [file, ...args] = [...this.#wrapper, process.execPath, "--input-type=module", "-e", script];
    const { stdout } = await promisify(execFile)(file!, args, { timeout: timeoutMs + 2_000 });
    return JSON.parse(stdout) as { status: number; body: unknown };
  }

  leads(): Promise<unknown> {
    return until(
      `${this.name} leads`,
      async () => {
        if (this.ended !== null) throw new Error(`${this.name} ended (${this.ended}):\n${await this.log()}`);
        return (await this.role()) === "leader";
      },
      60_000,
    );
  }

  async log(): Promise<string> {
    return (await readFile(join(this.#rig.folder, `${this.name}.log`), "utf8")).split("\n").slice(-40).join("\n");
  }
}
