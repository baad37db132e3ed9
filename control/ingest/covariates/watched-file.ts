import { stat } from "node:fs/promises";
import { BallastError } from "../../../common/errors.ts";

export interface WatchedFileOptions<T> {
  /** One file, or all that belong together: a change of any one is a change. */
  files: () => Promise<readonly string[]> | readonly string[];
  /** Throws BallastError where the content is not what it should be. */
  read: () => Promise<T>;
  /** Bytes of all files together; more is refused before it is read. Default 256 MiB. */
  maxBytes?: number;
}

const MAX_BYTES = 256 << 20;

/**
 * Content that is read again when its files change. What cannot be read leaves the content of before in its place, with the error that
 * tells why; it is tried again when the files change once more. One call at a time.
 */
export class WatchedFile<T> {
  readonly #options: WatchedFileOptions<T> & { maxBytes: number };
  #seen = "";
  #value: T | null = null;
  #writtenAtMs: number | null = null;
  #error: BallastError | null = null;

  constructor(options: WatchedFileOptions<T>) {
    this.#options = { maxBytes: MAX_BYTES, ...options };
  }

  /** Null before the first that could be read. */
  get value(): T | null {
    return this.#value;
  }

  /** Wall time at which the content in use was written: the newest modification of its files. */
  get writtenAtMs(): number | null {
    return this.#writtenAtMs;
  }

  /** Why what the files hold is not what is used. */
  get error(): BallastError | null {
    return this.#error;
  }

  /** Looks at the files, and reads them when they are others than the last time. @returns whether the value was replaced */
  async look(): Promise<boolean> {
    let seen = "";
    try {
      const { files, maxBytes, read } = this.#options;
      let writtenAtMs = 0;
      let bytes = 0;
      for (const file of await files()) {
        const { mtimeMs, size, ino } = await stat(file);
        seen += `${file} ${ino} ${mtimeMs} ${size}\n`;
        writtenAtMs = Math.max(writtenAtMs, mtimeMs);
        bytes += size;
      }
      if (seen === this.#seen) return false;
      if (bytes > maxBytes)
        throw new BallastError("COVARIATE_INVALID", `${bytes} bytes; at most ${maxBytes} are read again while serving`);
      this.#value = await read();
      this.#writtenAtMs = writtenAtMs;
      this.#error = null;
      this.#seen = seen;
      return true;
    } catch (thrown) {
      this.#seen = seen;
      this.#error = BallastError.from(thrown, "COVARIATE_INVALID");
      return false;
    }
  }
}
