import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const run = promisify(execFile);
const BUILD_TIMEOUT_MS = 300_000;

/** Either a path of a built file, or why it cannot be had on this machine. */
export type Built = { path: string } | { missing: string };

/**
 * Builds a native helper by a command that takes the output folder as its argument, once per content of its sources:
 * the folder's name is their hash.
 */
export async function buildNative(options: {
  sources: string;
  command: (folder: string) => [string, ...string[]];
  output: string;
}): Promise<Built> {
  const hash = createHash("sha256");
  for (const name of (await readdir(options.sources)).sort()) {
    if (/\.(c|h|go|mod|sum|py|sh)$/.test(name)) hash.update(name).update(await readFile(join(options.sources, name)));
  }
  const folder = join(ROOT, "build", "bench", hash.digest("hex").slice(0, 16));
  const path = join(folder, options.output);
  const scratch = `${folder}.${process.pid}`;
  if (
    await readFile(path).then(
      () => true,
      () => false,
    )
  )
    return { path };
  await mkdir(scratch, { recursive: true });
  try {
    const [file, ...args] = options.command(scratch);
    await run(file, args, { timeout: BUILD_TIMEOUT_MS, cwd: options.sources });
    await rename(scratch, folder);
  } catch (cause) {
    return { missing: cause instanceof Error ? (cause.message.trim().split("\n")[0] ?? "") : String(cause) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return { path };
}
