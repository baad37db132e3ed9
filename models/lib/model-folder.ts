/** The folder that a training leaves its model in: looked at before anything is trained, written when all of the model is there. */
import { randomUUID } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { sealed } from "../../control/forecast/manifest-seal.ts";
import { MANIFEST_FILE, readModelFile } from "../../control/forecast/model-file.ts";
import { FallbackError } from "../../control/forecast/reasons.ts";

export type ModelFolderKind = "demand" | "series" | "change-risk";

/** Of a model that lies there: whether its file is the one of its manifest. */
export type Lying = { model: "none" } | { model: "whole" } | { model: "damaged"; why: string };

const MAX_MODEL_BYTES = 64 << 20;

export class ModelFolder {
  readonly path: string;
  readonly lying: Lying;
  readonly #manifest: Buffer | null;

  private constructor(path: string, lying: Lying, manifest: Buffer | null) {
    this.path = path;
    this.lying = lying;
    this.#manifest = manifest;
  }

  /**
   * Makes the folder where it is not there. Throws TRAIN_FOLDER_UNFIT where it cannot be written, or holds a `manifest.json` that is not of
   * a model of this kind.
   */
  static async open(path: string, kind: ModelFolderKind): Promise<ModelFolder> {
    await mustBeWritable(path);
    return await ModelFolder.look(path, kind);
  }

  /** The same without a trace in the folder, which may be absent. */
  static async look(path: string, kind: ModelFolderKind): Promise<ModelFolder> {
    const manifest = await readFile(join(path, MANIFEST_FILE)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return null;
      throw unfit(path, cause.message, cause);
    });
    if (manifest === null) return new ModelFolder(path, { model: "none" }, null);
    const about = parsed(manifest);
    const found = kindOf(about);
    if (found !== kind)
      throw unfit(path, `its ${MANIFEST_FILE} is ${found === null ? "of no model" : `that of a ${found} model`}`);
    return new ModelFolder(path, await lyingIn(path, about as { model: string; sha256: string }), manifest);
  }

  /**
   * Puts every file of `from` here; the manifest last, so that a folder without it is no model, and sealed. What `from` has is copied whole before the first
   * file is exchanged. Throws TRAIN_FOLDER_UNFIT where somebody else changed the model meanwhile, or it cannot be written.
   */
  async place(from: string): Promise<void> {
    const standing = await readFile(join(this.path, MANIFEST_FILE)).catch(() => null);
    if (standing === null ? this.#manifest !== null : this.#manifest?.equals(standing) !== true)
      throw unfit(this.path, `another model was put there meanwhile; the trained one lies in ${from}`);
    const names = await readdir(from);
    names.sort((a, b) => Number(a === MANIFEST_FILE) - Number(b === MANIFEST_FILE));
    const suffix = `.${randomUUID()}.partial`;
    try {
      const manifest = join(from, MANIFEST_FILE);
      await writeFile(manifest, sealed(await readFile(manifest, "utf8")));
      for (const name of names) await copyFile(join(from, name), join(this.path, name + suffix));
      for (const name of names) await rename(join(this.path, name + suffix), join(this.path, name));
    } catch (cause) {
      for (const name of names) await rm(join(this.path, name + suffix), { force: true }).catch(() => undefined);
      throw unfit(this.path, `${(cause as Error).message}; the trained model lies in ${from}`, cause);
    }
  }
}

/** Makes a folder and sees whether a file can be written there. Throws TRAIN_FOLDER_UNFIT. */
export async function mustBeWritable(path: string): Promise<void> {
  const probe = join(path, `.${randomUUID()}.partial`);
  try {
    await mkdir(path, { recursive: true });
    await writeFile(probe, "");
    await rm(probe);
  } catch (cause) {
    throw unfit(path, (cause as Error).message, cause);
  }
}

export function unfit(path: string, what: string, cause?: unknown): BallastError {
  return new BallastError("TRAIN_FOLDER_UNFIT", `${path}: ${what}`, { cause });
}

function parsed(manifest: Buffer): { kind?: unknown; format?: unknown; model?: unknown; sha256?: unknown } | null {
  try {
    return JSON.parse(manifest.toString("utf8"));
  } catch {
    return null;
  }
}

/** By the fields that the readers of each kind look at first (docs/reference/models.md). */
function kindOf(about: ReturnType<typeof parsed>): string | null {
  if (typeof about?.model !== "string" || typeof about.sha256 !== "string") return null;
  if (typeof about.kind === "string") return about.kind;
  return about.format === 1 ? "demand" : null;
}

async function lyingIn(path: string, about: { model: string; sha256: string }): Promise<Lying> {
  try {
    await readModelFile(path, about, MAX_MODEL_BYTES);
    return { model: "whole" };
  } catch (thrown) {
    if (!(thrown instanceof FallbackError)) throw thrown;
    return { model: "damaged", why: thrown.reason.text };
  }
}
