import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Hex } from "../checkpoint/record.ts";
import { MANIFEST_FILE } from "../forecast/model-file.ts";
import type { FallbackReason } from "../forecast/reasons.ts";
import { type Fetched, MAX_SCORES_BYTES, type SharedFile, type SharedModels } from "./shared-models.ts";

const SCORES_FILE = "shadow.json";
const CARD_FILE = "MODEL_CARD.md";

export interface KeptModel {
  sha256: string;
  kind: string;
  folder: string;
  bytes: Uint8Array;
}

/** Throws FallbackError when the folder's model may not answer. */
export type ReadModel = (folder: string) => Promise<KeptModel>;

/**
 * This server's own copies of models that were put in shadow or steered, by the hash of their file, and the scores of the candidate. A folder
 * that somebody overwrites or deletes changes nothing about what was approved.
 */
export class ModelFiles {
  readonly #folder: string;
  readonly #read: ReadModel;
  readonly #shared: SharedModels | null;
  #writing: Promise<void> = Promise.resolve();
  #sharing: Promise<void> = Promise.resolve();

  /**
   * @param folder made when the first model is kept
   * @param read checks a folder's model as the server would at its start
   * @param shared where other servers find the models, and this one theirs
   */
  constructor(folder: string, read: ReadModel, shared: SharedModels | null = null) {
    this.#folder = folder;
    this.#read = read;
    this.#shared = shared;
  }

  /** Why other servers do not find a model in the store, in one sentence; null where they do. */
  unshared(sha256: string): string | null {
    return this.#shared?.unshared(sha256) ?? null;
  }

  folderOf(sha256: string): string {
    return join(this.#folder, sha256.slice(0, 32));
  }

  /**
   * Sees to it that the model lies in its folder, from the store where this server's own copy is missing or damaged.
   * @returns why it does not; null when it does. Never throws: a server that takes over goes on without it
   */
  async bring(sha256: string): Promise<FallbackReason | null> {
    const missing = (text: string): FallbackReason => ({ code: "MODEL_MISSING", text });
    try {
      const own = await this.#own(sha256);
      if (own.files !== null) {
        // Also of a model that was promoted while the store did not answer. Whether the store has it whole is nothing to wait for: this server has.
        const { files } = own;
        this.#sharing = this.#sharing.then(() => this.#shared?.put(sha256, files));
        return null;
      }
      const fetched = (await this.#shared?.fetch(sha256)) ?? { files: null, why: "models are not shared" };
      if (fetched.files === null) return missing(`not on this server (${own.why}), nor in the store (${fetched.why})`);
      await this.#write(sha256, fetched.files);
      const written = await this.#own(sha256);
      return written.files === null ? missing(`what the store has is another model: ${written.why}`) : null;
    } catch (thrown) {
      return missing(`its copy on this server: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }

  /** This server's own copy, when it is the model of that hash. */
  async #own(sha256: string): Promise<Fetched> {
    const own = this.folderOf(sha256);
    try {
      const { model, rest } = await readBeside(own);
      const bytes = await readFile(join(own, model));
      const found = sha256Hex(bytes);
      if (found !== sha256) return { files: null, why: `${model} has sha256 ${found.slice(0, 12)}` };
      return { files: [{ name: model, bytes }, ...rest] };
    } catch (thrown) {
      const { code, message } = thrown as NodeJS.ErrnoException;
      return { files: null, why: code === "ENOENT" ? "no copy" : message };
    }
  }

  /** The manifest goes first and comes last: a copy without it is none. */
  async #write(sha256: string, files: readonly SharedFile[]): Promise<void> {
    const own = this.folderOf(sha256);
    await mkdir(own, { recursive: true });
    await rm(join(own, MANIFEST_FILE), { force: true });
    const last = (name: string): number => (name === MANIFEST_FILE ? 1 : 0);
    for (const { name, bytes } of files.toSorted((a, b) => last(a.name) - last(b.name)))
      await writeFile(join(own, name), bytes);
  }

  /**
   * Checks the model of a folder as the server would at its start and copies it. Throws FallbackError when it may not answer.
   */
  async keep(folder: string): Promise<KeptModel> {
    const model = await this.#read(folder);
    const own = this.folderOf(model.sha256);
    if (own === folder) return model;
    const { model: name, rest } = await readBeside(folder);
    const files = [{ name, bytes: model.bytes }, ...rest];
    await this.#write(model.sha256, files);
    // What was copied is judged, not what was read: the folder may have changed in between.
    const kept = await this.#read(own);
    if (kept.sha256 !== model.sha256) throw new Error(`${folder} changed while it was read`);
    await this.#shared?.put(kept.sha256, files);
    return kept;
  }

  /** Removes every copy but these, so that the folder does not grow with each model that was ever tried. */
  async prune(kept: readonly (string | null | undefined)[]): Promise<void> {
    const names = new Set(kept.flatMap((sha256) => (sha256 == null ? [] : [sha256.slice(0, 32)])));
    for (const name of await readdir(this.#folder).catch(() => []))
      if (/^[0-9a-f]{32}$/.test(name) && !names.has(name))
        await rm(join(this.#folder, name), { recursive: true, force: true });
    await this.#shared?.prune(new Set(kept.filter((sha256) => sha256 != null)));
  }

  /** Of the candidate, as the server that led last has kept them; from this server's disk where the store has none. */
  async scores(): Promise<unknown> {
    const shared = (await this.#shared?.scores()) ?? null;
    if (shared !== null) return shared;
    const path = join(this.#folder, SCORES_FILE);
    try {
      if ((await stat(path)).size > MAX_SCORES_BYTES) return null;
      return JSON.parse(await readFile(path, "utf8"));
    } catch {
      // None yet, or cut off by a crash: the candidate is scored anew.
      return null;
    }
  }

  /** One after the other, as they are told. */
  writeScores(state: object): Promise<void> {
    const writing = this.#writing.then(async () => {
      await mkdir(this.#folder, { recursive: true });
      const path = join(this.#folder, SCORES_FILE);
      await writeFile(`${path}.partial`, JSON.stringify(state));
      await rename(`${path}.partial`, path);
      await this.#shared?.keepScores(state);
    });
    this.#writing = writing.catch(() => undefined);
    return writing;
  }

  /** Resolves when nothing is being put into the store. */
  shared(): Promise<void> {
    return this.#sharing;
  }

  /** Resolves when nothing is being written here. */
  settled(): Promise<void> {
    return this.#writing;
  }
}

/** What lies beside a model's file: the manifest, which names that file, and where there is one the card, for people only. */
async function readBeside(folder: string): Promise<{ model: string; rest: SharedFile[] }> {
  const manifest = await readFile(join(folder, MANIFEST_FILE));
  const { model } = JSON.parse(manifest.toString("utf8")) as { model: string };
  const card = await readFile(join(folder, CARD_FILE)).catch(() => null);
  const rest = [{ name: MANIFEST_FILE, bytes: manifest }];
  return { model, rest: card === null ? rest : [...rest, { name: CARD_FILE, bytes: card }] };
}
