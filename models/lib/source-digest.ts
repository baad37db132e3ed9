/**
 * Names the code that decides what a model learns. It lies outside of every folder that it is asked to read, so that a change of how
 * sources are read changes a digest only where it says so.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A file, and the name that stands for its place: the same on every machine. */
export interface Source {
  name: string;
  path: string;
}

/** The files of a folder, not of those in it, whose names match, by name. Tests are left out: they decide nothing. */
export function sourcesIn(folder: string, pattern: RegExp): Source[] {
  const names = readdirSync(folder).filter((name) => pattern.test(name) && !name.includes(".test."));
  return names.sort().map((name) => ({ name, path: join(folder, name) }));
}

/** SHA-256 in hexadecimal over names and contents, in the order given. */
export function sourceDigest(sources: readonly Source[]): string {
  const hash = createHash("sha256");
  for (const { name, path } of sources) hash.update(name).update(readFileSync(path));
  return hash.digest("hex");
}

/** `code_version` of a manifest, of the sources in these folders; unlike a commit it is the same for the same code. */
export function codeVersion(folders: readonly string[]): string {
  const sources = folders.flatMap((folder) => sourcesIn(folder, /\.(ts|py|txt)$/));
  return `sources-${sourceDigest(sources).slice(0, 16)}`;
}
