import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("store-writer.ts", import.meta.url));

/** What a store-writer has said. */
export interface Said {
  term?: number;
  epoch?: number;
  code?: string;
}

/** A store-writer that runs; tests pause and kill it by its id. Bound with `await using`, it never outlives its test. */
export class WriterProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly said: Said[] = [];
  #waiting: (() => void) | null = null;

  /** `maxFileBytes`: no file of this process may grow beyond it, as on a disk that is full. */
  constructor(store: object, holder: string, ttlMs: number, options: { maxFileBytes?: number } = {}) {
    const args = [SCRIPT, JSON.stringify(store), holder, `${ttlMs}`];
    const { maxFileBytes } = options;
    // With SIGXFSZ ignored, which a new program inherits, a write beyond the limit fails instead of killing. The unit is 512 bytes.
    const shell = `trap '' XFSZ; ulimit -f ${Math.ceil((maxFileBytes ?? 0) / 512)}; exec "$0" "$@"`;
    this.child =
      maxFileBytes === undefined
        ? spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
        : spawn("sh", ["-c", shell, process.execPath, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      this.said.push(JSON.parse(line) as Said);
      this.#waiting?.();
    });
    this.child.once("exit", () => this.#waiting?.());
  }

  get epochs(): number[] {
    return this.said.flatMap(({ epoch }) => epoch ?? []);
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Resolves when `enough` holds of what was said. Throws when the process ends before. */
  async until(enough: (said: readonly Said[]) => boolean): Promise<void> {
    while (!enough(this.said)) {
      if (this.ended) throw new Error(`the writer ended: ${this.child.exitCode ?? this.child.signalCode}`);
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.child.kill(signal);
  }

  /** Resolves when the process has ended and all it said was read. */
  async end(signal?: "SIGKILL"): Promise<void> {
    if (signal !== undefined) this.child.kill(signal);
    if (!this.child.stdout!.closed) await once(this.child, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}
