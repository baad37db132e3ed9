import { ServedInputs } from "../../features/series/served-inputs.ts";

export interface ServedRecorderOptions {
  /** Folder that `ballast train --served` reads. */
  dir: string;
  schemaHash: string;
  columns: readonly string[];
  /** Least time between two writes, milliseconds. Default 60,000. */
  writeEveryMs?: number;
  /** Monotonic milliseconds. Default performance.now(). */
  monotonicMs?: () => number;
  /** Told once, of the first write that failed; sampling ends then, serving does not. */
  onFailure: (cause: Error) => void;
}

/** Keeps the sample of what a model is asked with on disk, a minute behind at most. Never throws and never waits. */
export class ServedRecorder {
  readonly #options: Required<ServedRecorderOptions>;
  readonly #inputs: ServedInputs;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #state: "idle" | "writing" | "failed" = "idle";

  constructor(options: ServedRecorderOptions) {
    this.#options = { writeEveryMs: 60_000, monotonicMs: () => performance.now(), ...options };
    this.#inputs = new ServedInputs(options);
  }

  /** @param rows [service][horizon step][column] @param perService numbers per service */
  observe(rows: Float32Array, perService: number): void {
    if (this.#state === "failed") return;
    for (let at = 0; at + perService <= rows.length; at += perService)
      this.#inputs.observe(rows.subarray(at, at + perService));
    const { dir, monotonicMs, writeEveryMs, onFailure } = this.#options;
    if (this.#state === "writing" || monotonicMs() - this.#writtenAtMs < writeEveryMs) return;
    this.#writtenAtMs = monotonicMs();
    this.#state = "writing";
    this.#inputs.write(dir).then(
      () => {
        this.#state = "idle";
      },
      (cause: Error) => {
        this.#state = "failed";
        onFailure(cause);
      },
    );
  }
}
