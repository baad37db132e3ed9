import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

export interface ExportWatchOptions {
  /** Folder of the export. */
  folder: string;
  /** `exportSignature` of what was read. */
  read: string;
  /** Real time between two looks. */
  intervalMs: number;
  /** The files have changed, and stood still between two looks: an export that is being written is left alone. */
  onChange: () => Promise<void>;
  onError: (error: Error) => void;
}

/** Looks whether an export was replaced, by names, sizes and times of its files. */
export class ExportWatch {
  readonly #options: ExportWatchOptions;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();
  #read: string;
  #seen: string | null = null;
  #stopped = false;

  constructor(options: ExportWatchOptions) {
    this.#options = options;
    this.#read = options.read;
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look()
        .catch((error: Error) => this.#options.onError(error))
        .then(() => this.#schedule());
    }, this.#options.intervalMs).unref();
  }

  async #look(): Promise<void> {
    const now = await exportSignature(this.#options.folder);
    const still = now === this.#seen;
    this.#seen = now;
    if (now === this.#read || !still) return;
    this.#read = now;
    await this.#options.onChange();
  }
}

/** Names, times and sizes of an export's files; take it before they are read. Empty for a folder that cannot be listed. */
export async function exportSignature(folder: string): Promise<string> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json")).sort();
  const files = await Promise.all(
    names.map(async (name) => {
      const { mtimeMs, size } = await stat(join(folder, name));
      return `${name} ${mtimeMs} ${size}`;
    }),
  );
  return files.join("\n");
}
