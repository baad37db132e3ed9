import { createHash } from "node:crypto";
import { z } from "zod";
import type { CheckpointStore } from "../checkpoint/store.ts";

export interface SharedModelsOptions {
  store: Pick<CheckpointStore, "keep" | "kept">;
  term: number;
  /** Which part's models: names of different parts must not meet. */
  part: string;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

/** A file of a model's folder. */
export interface SharedFile {
  name: string;
  bytes: Uint8Array;
}

/** All files of one model together; a larger one stays on the server that it was put in shadow on. */
export const MAX_SHARED_MODEL_BYTES = 16 << 20;
/** In base64 it is as long as a keepsake may be. */
const PIECE_BYTES = 393_216;
/** The promoted one, those that a return may come back to, the candidate, and some that are about to be dropped. */
const MAX_SHARED_MODELS = 16;

const indexSchema = z.object({
  layout: z.literal(1),
  models: z
    .array(
      z.object({
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        files: z
          .array(
            z.object({
              name: z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/),
              bytes: z.number().int().nonnegative().max(MAX_SHARED_MODEL_BYTES),
              sha256: z.string().regex(/^[0-9a-f]{64}$/),
            }),
          )
          .max(4),
      }),
    )
    .max(MAX_SHARED_MODELS),
});
type Index = z.infer<typeof indexSchema>;

/**
 * Models that were put in shadow or promoted, beside the checkpoints in the store, so that a server that takes over on another machine
 * forecasts with the same. In pieces, by the hash of their file; an index that is written last names those that are whole. A
 * store that fails costs the copy, never the change: the alarm MODEL_MISSING of the server that lacks one says so.
 */
export class SharedModels {
  readonly #options: SharedModelsOptions;

  constructor(options: SharedModelsOptions) {
    this.#options = options;
  }

  /** Puts a model beside the checkpoints, once. */
  async put(sha256: string, files: readonly SharedFile[]): Promise<void> {
    const { log } = this.#options;
    const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
    if (bytes > MAX_SHARED_MODEL_BYTES) {
      log.warn(
        { sha256, bytes, most: MAX_SHARED_MODEL_BYTES },
        "the model is too large to be shared with other servers",
      );
      return;
    }
    await this.#attempt("shared with other servers", sha256, async () => {
      const index = await this.#index();
      if (index.models.some((one) => one.sha256 === sha256)) return;
      for (const file of files)
        for (let i = 0; i < pieces(file.bytes.length); i++) {
          const piece = file.bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES);
          await this.#keep(this.#pieceName(sha256, file.name, i), Buffer.from(piece).toString("base64"));
        }
      const one = {
        sha256,
        files: files.map(({ name, bytes }) => ({ name, bytes: bytes.length, sha256: hashOf(bytes) })),
      };
      await this.#write({ ...index, models: [...index.models, one].slice(-MAX_SHARED_MODELS) });
    });
  }

  /** The files of a model as they were put; null when they are not whole in the store. */
  async fetch(sha256: string): Promise<SharedFile[] | null> {
    const found = await this.#attempt("fetched from the store", sha256, async () => {
      const one = (await this.#index()).models.find((model) => model.sha256 === sha256);
      if (one === undefined) return null;
      const files: SharedFile[] = [];
      for (const { name, bytes, sha256: hash } of one.files) {
        const parts: Buffer[] = [];
        for (let i = 0; i < pieces(bytes); i++) {
          const text = (await this.#options.store.kept(this.#pieceName(sha256, name, i)))?.text ?? "";
          parts.push(Buffer.from(text, "base64"));
        }
        const whole = new Uint8Array(Buffer.concat(parts));
        if (hashOf(whole) !== hash) throw new Error(`${name} in the store is not the file that was put there`);
        files.push({ name, bytes: whole });
      }
      return files;
    });
    return found ?? null;
  }

  /** Empties the pieces of every model but these: a store has no way to take a keepsake back. */
  async prune(kept: ReadonlySet<string>): Promise<void> {
    await this.#attempt("dropped from the store", "", async () => {
      const index = await this.#index();
      const dropped = index.models.filter(({ sha256 }) => !kept.has(sha256));
      if (dropped.length === 0) return;
      // First out of the index: half a model must not be found.
      await this.#write({ ...index, models: index.models.filter(({ sha256 }) => kept.has(sha256)) });
      for (const { sha256, files } of dropped)
        for (const { name, bytes } of files)
          for (let i = 0; i < pieces(bytes); i++) await this.#keep(this.#pieceName(sha256, name, i), "");
    });
  }

  async #index(): Promise<Index> {
    const kept = await this.#options.store.kept(this.#indexName());
    if (kept === null) return { layout: 1, models: [] };
    return indexSchema.parse(JSON.parse(kept.text));
  }

  #write(index: Index): Promise<void> {
    return this.#keep(this.#indexName(), JSON.stringify(index));
  }

  #keep(name: string, text: string): Promise<void> {
    return this.#options.store.keep(name, text, { term: this.#options.term });
  }

  #indexName(): string {
    return `models/${this.#options.part}`;
  }

  #pieceName(sha256: string, file: string, piece: number): string {
    return `model/${this.#options.part}/${sha256}/${file}/${piece}`;
  }

  async #attempt<T>(what: string, sha256: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (thrown) {
      this.#options.log.warn({ sha256, err: thrown }, `a model could not be ${what}`);
      return undefined;
    }
  }
}

function pieces(bytes: number): number {
  return Math.ceil(bytes / PIECE_BYTES);
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
