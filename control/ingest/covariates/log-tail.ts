import { type FileHandle, open, stat } from "node:fs/promises";

export interface LogTailOptions {
  file: string;
  /** Each whole line, in order; null stands for one that is longer than `maxLineBytes`. */
  onLine: (line: string | null) => void;
  /** Called where lines are left out: the file is further ahead than `maxBehindBytes`. What came before can no longer be told whole. */
  onGap: () => void;
  /** The newest part of the file that is read at the start, bytes. Default 64 MiB; sensible 1 … 256 MiB. */
  maxBehindBytes?: number;
  /** Read in one call of `poll`, bytes. Default 4 MiB. */
  maxBytesPerPoll?: number;
  /** Default 65,536. */
  maxLineBytes?: number;
}

const DEFAULTS = { maxBehindBytes: 64 << 20, maxBytesPerPoll: 4 << 20, maxLineBytes: 65_536 };
const CHUNK_BYTES = 1 << 18;
const NEWLINE = 0x0a;

/**
 * Follows a file that a proxy appends to. A line counts when its end is there. A file of another inode in its place (rotation) is read
 * from its start after the rest of the old one; one that became shorter (truncated in place) is read from its start again. One poll at
 * a time; it rejects when the file cannot be read and may be called again.
 */
export class LogTail {
  readonly #options: Required<LogTailOptions>;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #open: { handle: FileHandle; inode: bigint; device: bigint } | null = null;
  /** Of the next byte to be read. */
  #position = 0;
  /** The beginning of a line whose end is not there yet. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** The bytes up to the next newline are the end of a line whose beginning was not read. */
  #skipping = false;

  constructor(options: LogTailOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Reads what was appended since. @returns true when there is more: the caller comes again soon */
  async poll(): Promise<boolean> {
    const { file, maxBytesPerPoll } = this.#options;
    let left = maxBytesPerPoll;
    if (this.#open === null) await this.#begin(true);
    // Between a rename and its reopening a proxy goes on with the old file, and there is no other.
    const named = await stat(file, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return null;
    });
    if (named !== null && (named.ino !== this.#open!.inode || named.dev !== this.#open!.device)) {
      left = await this.#read(left);
      if (left === 0) return true;
      await this.close();
      await this.#begin(false);
    }
    return (await this.#read(left)) === 0;
  }

  async close(): Promise<void> {
    const before = this.#open;
    this.#open = null;
    this.#forgetRest();
    await before?.handle.close();
  }

  /** @param first whether a long file may be begun near its end; one that took another's place is wanted whole */
  async #begin(first: boolean): Promise<void> {
    const handle = await open(this.#options.file, "r");
    const { ino: inode, dev: device, size } = await handle.stat({ bigint: true });
    this.#open = { handle, inode, device };
    this.#position = 0;
    if (first) this.#catchUp(Number(size));
  }

  /** Leaves out what is too far behind. */
  #catchUp(size: number): void {
    const { maxBehindBytes, onGap } = this.#options;
    if (size - this.#position <= maxBehindBytes) return;
    this.#position = size - maxBehindBytes;
    this.#forgetRest();
    this.#skipping = true;
    onGap();
  }

  /** To the end of the open file, or until `budget` is used up. @returns what is left of it; 0 where more may be there */
  async #read(budget: number): Promise<number> {
    const { handle } = this.#open!;
    const { size } = await handle.stat();
    if (size < this.#position) {
      this.#position = 0;
      this.#forgetRest();
    }
    this.#catchUp(size);
    let left = budget;
    while (left > 0) {
      const { bytesRead } = await handle.read(this.#chunk, 0, Math.min(CHUNK_BYTES, left), this.#position);
      if (bytesRead === 0) return left;
      this.#position += bytesRead;
      left -= bytesRead;
      this.#take(this.#chunk.subarray(0, bytesRead));
    }
    return 0;
  }

  #take(bytes: Buffer): void {
    const { maxLineBytes, onLine } = this.#options;
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      this.#hold(bytes.subarray(from, end));
      if (this.#skipping) this.#skipping = false;
      else
        onLine(this.#restBytes > maxLineBytes ? null : Buffer.concat(this.#rest).toString("utf8").replace(/\r$/, ""));
      this.#rest = [];
      this.#restBytes = 0;
      from = end + 1;
    }
    // The chunk's memory is used again.
    if (from < bytes.length) this.#hold(Buffer.from(bytes.subarray(from)));
  }

  #hold(bytes: Buffer): void {
    this.#restBytes += bytes.length;
    if (this.#restBytes > this.#options.maxLineBytes || this.#skipping) this.#rest = [];
    else if (bytes.length > 0) this.#rest.push(bytes);
  }

  #forgetRest(): void {
    this.#rest = [];
    this.#restBytes = 0;
    this.#skipping = false;
  }
}
