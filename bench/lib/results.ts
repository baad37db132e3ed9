import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./native-build.ts";

const PATH = join(ROOT, "bench/RESULTS.md");
const HEAD =
  "# Results\n\nWritten by the benchmarks themselves: `npm run -s bench -- NAME` rewrites the section of that name.\n";

/** Puts a benchmark's section in place of its last one; sections stand in alphabetical order. */
export async function writeResults(name: string, body: string): Promise<void> {
  const text = await readFile(PATH, "utf8").catch(() => HEAD);
  await writeFile(PATH, withSection(text, name, body));
}

/** Pure part: `text` with the section `name` replaced or added. */
export function withSection(text: string, name: string, body: string): string {
  const sections = new Map<string, string>();
  const found = /<!-- bench (\S+) -->\n([\s\S]*?)\n<!-- end \1 -->\n?/g;
  for (const [, key, content] of text.matchAll(found)) sections.set(key as string, content as string);
  sections.set(name, `## ${name}\n\n${body.trim()}`);
  const parts = [...sections].sort(([a], [b]) => (a < b ? -1 : 1));
  return `${HEAD}\n${parts.map(([key, content]) => `<!-- bench ${key} -->\n${content}\n<!-- end ${key} -->\n`).join("\n")}`;
}
