import { hash } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { isAsSealed } from "./manifest-seal.ts";
import { FallbackError } from "./reasons.ts";

/** Stands beside the file of every model, whatever its kind. */
export const MANIFEST_FILE = "manifest.json";
const MAX_MANIFEST_BYTES = 1 << 20;

/** The manifest of a folder as its schema reads it. Throws FallbackError: MODEL_MISSING, MANIFEST_INVALID. */
export async function readManifest<T>(folder: string, schema: z.ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(await readManifestJson(folder));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = `${MANIFEST_FILE}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
  throw new FallbackError("MANIFEST_INVALID", where);
}

/** The manifest's JSON, for a look at it before its kind is known. Throws FallbackError: MODEL_MISSING, MANIFEST_INVALID. */
export async function readManifestJson(folder: string): Promise<unknown> {
  const bytes = await readBounded(join(folder, MANIFEST_FILE), MAX_MANIFEST_BYTES);
  const text = new TextDecoder().decode(bytes);
  const found = parsed(text);
  if (isAsSealed(text) === false)
    throw new FallbackError(
      "MANIFEST_INVALID",
      `${MANIFEST_FILE} is not the one that training wrote: its seal does not fit`,
    );
  return found;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FallbackError("MANIFEST_INVALID", `${MANIFEST_FILE} is not JSON`, cause);
  }
}

/**
 * The model that a manifest names. The bytes returned are the bytes that were hashed.
 * Throws FallbackError: MODEL_MISSING, MANIFEST_INVALID (larger than `maxBytes`), MODEL_HASH_MISMATCH.
 */
export async function readModelFile(
  folder: string,
  { model, sha256 }: { model: string; sha256: string },
  maxBytes: number,
): Promise<Uint8Array> {
  const bytes = await readBounded(join(folder, model), maxBytes);
  const actual = hash("sha256", bytes);
  if (actual === sha256) return bytes;
  const text = `${model} has sha256 ${actual.slice(0, 12)}…, its manifest says ${sha256.slice(0, 12)}…`;
  throw new FallbackError("MODEL_HASH_MISMATCH", text);
}

/** Refuses levels that do not ascend: the guard and the planner read them by place. */
export function checkAscending(levels: readonly number[]): void {
  if (levels.some((level, i) => i > 0 && level <= levels[i - 1]!))
    throw new FallbackError("MANIFEST_INVALID", "levels must ascend");
}

async function readBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    if (size > maxBytes)
      throw new FallbackError("MANIFEST_INVALID", `${path} has ${size} bytes, more than ${maxBytes}`);
    return await file.readFile();
  } catch (cause) {
    if (cause instanceof FallbackError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new FallbackError("MODEL_MISSING", `${path} cannot be read (${code})`, cause);
  }
}
