import { isDeepStrictEqual, promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import { sha256Hex } from "../checkpoint/record.ts";
import { type CheckpointStore, MAX_KEEPSAKE_BYTES } from "../checkpoint/store.ts";

export interface SharedModelsOptions {
  store: Pick<CheckpointStore, "keep" | "kept">;
  term: number;
  /** Which part's models: names of different parts must not meet. */
  part: string;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
  /** Longest time that one model is read or written for. Default 20 s. */
  maxMs?: number;
}

/** A file of a model's folder. */
export interface SharedFile {
  name: string;
  bytes: Uint8Array;
}

/** All files of one model together: the largest that a server reads (64 MiB), its manifest and its card. */
export const MAX_SHARED_MODEL_BYTES = 66 << 20;
/** In base64 it is as long as a keepsake may be. */
const PIECE_BYTES = 393_216;
/** A server that takes over waits no longer for a model: targets may be failing meanwhile. */
const MAX_MOVE_MS = 20_000;
/** The promoted one, those that a return may come back to, the candidate, and some that are about to be dropped. */
const MAX_SHARED_MODELS = 16;

/** A board of two weeks has about half a megabyte. */
export const MAX_SCORES_BYTES = 8 << 20;
const zipped = promisify(gzip);
const unzipped = promisify(gunzip) as (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

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
type SharedModel = Index["models"][number];
const EMPTY: Index = { layout: 1, models: [] };

/** The files of a model, or why the store does not have them whole: one sentence, after the code where there is one. */
export type Fetched = { files: SharedFile[] } | { files: null; why: string };

/**
 * Models that were put in shadow or promoted, beside the checkpoints in the store, so that a server that takes over on another machine
 * forecasts with the same, and the scores of the candidate. In pieces, by the hash of their file; an index that is written last names those
 * that are whole. A store that fails costs the copy, never the change: the alarm MODEL_UNSHARED of the server that has it says so, and MODEL_MISSING of one that lacks it.
 */
export class SharedModels {
  readonly #options: SharedModelsOptions;
  readonly #unshared = new Map<string, string>();

  constructor(options: SharedModelsOptions) {
    this.#options = options;
  }

  /** Why the store does not have a model that was to be put there, in one sentence; null where it has it, or was not asked to. */
  unshared(sha256: string): string | null {
    return this.#unshared.get(sha256) ?? null;
  }

  /** Puts a model beside the checkpoints: once, and again where what lies there is not what was put. Never throws: see `unshared`. */
  async put(sha256: string, files: readonly SharedFile[]): Promise<void> {
    try {
      await this.#put(sha256, files);
      this.#unshared.delete(sha256);
    } catch (thrown) {
      this.#unshared.set(sha256, thrown instanceof Error ? thrown.message : String(thrown));
      this.#options.log.warn({ sha256, err: thrown }, "a model could not be shared with other servers");
    }
  }

  async #put(sha256: string, files: readonly SharedFile[]): Promise<void> {
    const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
    if (bytes > MAX_SHARED_MODEL_BYTES)
      throw new Error(`its files have ${bytes} bytes, at most ${MAX_SHARED_MODEL_BYTES} are shared`);
    const inTime = this.#timeLimit();
    const index = await this.#index(true);
    const one = {
      sha256,
      files: files.map(({ name, bytes }) => ({ name, bytes: bytes.length, sha256: sha256Hex(bytes) })),
    };
    const stands = index.models.find((model) => model.sha256 === sha256);
    if (stands !== undefined && isDeepStrictEqual(stands, one) && (await this.#isWhole(one, inTime))) return;
    for (const file of files)
      for (let i = 0; i < pieces(file.bytes.length); i++) {
        inTime();
        const piece = file.bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES);
        await this.#keep(this.#pieceName(sha256, file.name, i), Buffer.from(piece).toString("base64"));
      }
    const others = index.models.filter((model) => model.sha256 !== sha256);
    await this.#write({ ...index, models: [...others, one].slice(-MAX_SHARED_MODELS) });
  }

  /** The files of a model as they were put. Never throws: a store that fails is a reason. */
  async fetch(sha256: string): Promise<Fetched> {
    const inTime = this.#timeLimit();
    try {
      const one = (await this.#index()).models.find((model) => model.sha256 === sha256);
      if (one === undefined) return { files: null, why: "no server has put it into the store" };
      return { files: await this.#read(one, inTime) };
    } catch (thrown) {
      this.#options.log.warn({ sha256, err: thrown }, "a model could not be fetched from the store");
      return { files: null, why: BallastError.from(thrown, "STORE_CORRUPT").message };
    }
  }

  /** Empties the pieces of every model but these: a store has no way to take a keepsake back. */
  async prune(kept: ReadonlySet<string>): Promise<void> {
    for (const sha256 of this.#unshared.keys()) if (!kept.has(sha256)) this.#unshared.delete(sha256);
    await this.#attempt("a model could not be dropped from the store", async () => {
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

  /** Keeps the candidate's scores in place of those before. */
  async keepScores(state: object): Promise<void> {
    await this.#attempt("scores of a candidate could not be kept in the store", async () => {
      const text = (await zipped(JSON.stringify(state))).toString("base64");
      if (text.length > MAX_KEEPSAKE_BYTES) throw new Error(`they have ${text.length} bytes`);
      await this.#keep(this.#scoresName(), text);
    });
  }

  /** What was kept last, by whichever server; null when nothing was, or it cannot be read. */
  async scores(): Promise<unknown> {
    try {
      const kept = await this.#options.store.kept(this.#scoresName());
      if (kept === null) return null;
      const bytes = await unzipped(Buffer.from(kept.text, "base64"), { maxOutputLength: MAX_SCORES_BYTES });
      return JSON.parse(bytes.toString("utf8"));
    } catch (thrown) {
      this.#options.log.warn({ err: thrown }, "scores of a candidate in the store cannot be read");
      return null;
    }
  }

  /** STORE_CORRUPT for a piece that is not there, or is not the one that was put. */
  async #read({ sha256, files: parts }: SharedModel, inTime: () => void): Promise<SharedFile[]> {
    const files: SharedFile[] = [];
    for (const { name, bytes, sha256: hash } of parts) {
      const read: Buffer[] = [];
      for (let i = 0; i < pieces(bytes); i++) {
        inTime();
        const text = (await this.#options.store.kept(this.#pieceName(sha256, name, i)))?.text ?? "";
        if (text === "")
          throw new BallastError("STORE_CORRUPT", `piece ${i + 1} of ${pieces(bytes)} of ${name} is not there`);
        read.push(Buffer.from(text, "base64"));
      }
      const whole = new Uint8Array(Buffer.concat(read));
      if (sha256Hex(whole) !== hash)
        throw new BallastError("STORE_CORRUPT", `${name} in the store is not the file that was put there`);
      files.push({ name, bytes: whole });
    }
    return files;
  }

  async #isWhole(one: SharedModel, inTime: () => void): Promise<boolean> {
    try {
      await this.#read(one, inTime);
      return true;
    } catch (thrown) {
      if (!isCorrupt(thrown)) throw thrown;
      this.#options.log.warn(
        { sha256: one.sha256, err: thrown },
        "a model in the store is damaged; it is put there again",
      );
      return false;
    }
  }

  /** `anew`: an index that cannot be read names nothing, so that the models of this server come back into it. */
  async #index(anew = false): Promise<Index> {
    try {
      const kept = await this.#options.store.kept(this.#indexName());
      if (kept === null) return EMPTY;
      const parsed = indexSchema.safeParse(parseJson(kept.text));
      if (parsed.success) return parsed.data;
      const [issue] = parsed.error.issues;
      const where = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
      throw new BallastError("STORE_CORRUPT", `the list of models in the store cannot be read: ${where}`);
    } catch (thrown) {
      if (!anew || !isCorrupt(thrown)) throw thrown;
      this.#options.log.warn({ err: thrown }, "the list of models in the store is damaged; it is begun anew");
      return EMPTY;
    }
  }

  /** Throws STORE_UNREADABLE once the time is over. */
  #timeLimit(): () => void {
    const { maxMs = MAX_MOVE_MS } = this.#options;
    const endMs = performance.now() + maxMs;
    return () => {
      if (performance.now() <= endMs) return;
      throw new BallastError("STORE_UNREADABLE", `the store took longer than ${maxMs} ms for the model`);
    };
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

  #scoresName(): string {
    return `model-scores/${this.#options.part}`;
  }

  #pieceName(sha256: string, file: string, piece: number): string {
    return `model/${this.#options.part}/${sha256}/${file}/${piece}`;
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#options.log.warn({ err: thrown }, what);
    }
  }
}

function isCorrupt(thrown: unknown): boolean {
  return thrown instanceof BallastError && thrown.code === "STORE_CORRUPT";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function pieces(bytes: number): number {
  return Math.ceil(bytes / PIECE_BYTES);
}
