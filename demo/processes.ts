import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BallastError } from "../common/errors.ts";

const GUARD = join(import.meta.dirname, "guard.ts");

export interface ProcessOptions {
  /** Name in messages, and of its log file. */
  name: string;
  file: string;
  args: readonly string[];
  /** Opens a message channel to a Node child. */
  ipc?: boolean;
  /** Told each line of stdout; without it stdout goes to the log too. */
  onLine?: (line: string) => void;
  onMessage?: (message: unknown) => void;
  /** The process ended although nobody asked it to. */
  onExit: (how: string) => void;
}

export interface Process {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Asks it to end (SIGTERM), and kills it after `killAfterMs`. Resolves when it is gone. */
  stop(killAfterMs?: number): Promise<void>;
  /** SIGKILL at once. Resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * The demo's child processes. Each runs in a process group of its own, so that Ctrl-C reaches the demo alone and it can end them in
 * order; a guard kills what is left should the demo itself be killed. Logs go to `<logDir>/<name>.log`.
 */
export class Processes {
  readonly #logDir: string;
  readonly #guard: ChildProcess;
  readonly #running = new Set<Process>();
  #closing = false;

  constructor(logDir: string) {
    this.#logDir = logDir;
    this.#guard = spawn(process.execPath, [GUARD], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    // A guard that ended can no longer be told anything; the demo goes on without it.
    this.#guard.stdin?.on("error", () => {});
  }

  get running(): readonly Process[] {
    return [...this.#running];
  }

  /** Resolves when the process was started; throws DEMO_FAILED when it could not be. */
  async start(options: ProcessOptions): Promise<Process> {
    if (this.#closing) throw new BallastError("DEMO_FAILED", `${options.name} was to start while the demo ends`);
    const log = openSync(join(this.#logDir, `${options.name}.log`), "a");
    const stdio: SpawnOptions["stdio"] = ["ignore", options.onLine === undefined ? log : "pipe", log];
    const child = spawn(options.file, options.args, {
      stdio: options.ipc ? [...stdio, "ipc"] : stdio,
      detached: true,
    });
    closeSync(log);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) => {
        reject(new BallastError("DEMO_FAILED", `${options.name} cannot be started: ${cause.message}`, { cause }));
      });
    });
    const pid = child.pid!;

    let asked = false;
    const gone = new Promise<void>((resolve) => {
      child.once("exit", (exitCode, signal) => {
        this.#guard.stdin?.write(`-${pid}\n`);
        this.#running.delete(running);
        this.#writeList();
        resolve();
        if (!asked) options.onExit(signal === null ? `exit code ${exitCode}` : signal);
      });
    });
    const end = async (signal: NodeJS.Signals, killAfterMs: number): Promise<void> => {
      asked = true;
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
      await gone;
      clearTimeout(timer);
    };
    const running: Process = {
      name: options.name,
      pid,
      child,
      stop: (killAfterMs = 3000) => end("SIGTERM", killAfterMs),
      kill: () => end("SIGKILL", 0),
    };
    this.#running.add(running);
    this.#guard.stdin?.write(`+${pid}\n`);
    this.#writeList();
    if (options.onLine !== undefined && child.stdout !== null) readLines(child.stdout, options.onLine);
    if (options.onMessage !== undefined) child.on("message", options.onMessage);
    return running;
  }

  /** `processes.json`, name → pid: for scripts, and for people who want to kill one process and watch. */
  #writeList(): void {
    const list = Object.fromEntries(this.running.map(({ name, pid }) => [name, pid]));
    writeFileSync(join(this.#logDir, "processes.json"), `${JSON.stringify(list, null, 2)}\n`);
  }

  /** Ends everything that still runs, then the guard. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#running].map((running) => running.stop()));
    this.#guard.stdin?.end();
  }
}

/** A line longer than this is cut: an event line of the control server is at most some 100 KB. */
const MAX_LINE_BYTES = 4_194_304;

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let held = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    held += chunk;
    if (held.length > MAX_LINE_BYTES && !held.includes("\n")) held = "";
    let end = held.indexOf("\n");
    while (end >= 0) {
      onLine(held.slice(0, end));
      held = held.slice(end + 1);
      end = held.indexOf("\n");
    }
  });
}
