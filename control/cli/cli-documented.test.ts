import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { ERROR_CODES } from "../../common/error-codes.ts";
import type { Command } from "./io.ts";

const FILE = "docs/reference/cli.md";
/** UPDATE_CLI=1 rewrites the blocks of the page; review the difference like code. */
const update = process.env.UPDATE_CLI === "1";

function run(...args: string[]): { exit: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["control/cli/main.ts", ...args], {
    encoding: "utf8",
  });
  return { exit: status, out: stdout, err: stderr };
}

/** What `ballast NAME --help` prints, without a process for each. */
async function help(name: string): Promise<string> {
  const [command, ...rest] = name.split(" ") as [string, ...string[]];
  const file = command === "estate" ? "estate-check" : command;
  const { run: ask } = (await import(`./${file}.ts`)) as { run: Command };
  const lines: string[] = [];
  const io = { out: (text: string) => void lines.push(text), err: () => {}, color: false };
  assert.equal(await ask([...rest, "--help"], io), 0, name);
  return lines.join("\n");
}

test("the reference page has every command with its own help, and no other", async () => {
  let page = await readFile(FILE, "utf8");
  const sections = [...page.matchAll(/^## (.+)$/gm)].map(([, name]) => name!);
  const listed = [...run("help").out.matchAll(/^ {2}([a-z-]+) {2,}/gm)].map(([, name]) => name!);
  assert.ok(listed.length > 15);
  assert.deepEqual(
    [...new Set(sections.map((name) => name.split(" ")[0]))].sort(),
    listed.sort(),
    "a new command gets a section `## NAME` with an empty ```text block; UPDATE_CLI=1 with this test fills it",
  );
  for (const name of sections) {
    const block = new RegExp(`(## ${name}\n\n\`\`\`text\n)([^\`]*?)(\`\`\`\n)`);
    // A backquote would end the block: what is code in help is plain in it.
    const text = `${(await help(name)).replaceAll("`", "'")}\n`;
    if (update) page = page.replace(block, (_all, open: string, _old: string, close: string) => open + text + close);
    else assert.equal(block.exec(page)?.[2], text, `${name}: UPDATE_CLI=1 with this test rewrites the page`);
  }
  if (update) await writeFile(FILE, page);
});

test("the page explains every exit code that an error has", async () => {
  const page = await readFile(FILE, "utf8");
  const explained = new Set([...page.matchAll(/^\| (\d+) \| /gm)].map(([, exit]) => Number(exit)));
  for (const [code, { exit }] of Object.entries(ERROR_CODES)) assert.ok(explained.has(exit), `${code}: exit ${exit}`);
});

test("with --json a failure is one JSON object on stdout, with the exit code of its error", () => {
  const { exit, out, err } = run("status", "--server", "127.0.0.1:1", "--json");
  const error = JSON.parse(out) as { code: string; message: string; hint: string; exit: number };
  assert.deepEqual([error.code, error.exit, exit], ["SERVER_UNREACHABLE", 4, 4]);
  assert.equal(error.hint, ERROR_CODES.SERVER_UNREACHABLE.hint);
  assert.ok(err.startsWith(error.message), err);
  assert.equal(run("status", "--server", "127.0.0.1:1").out, "");
  const unknown = JSON.parse(run("audit", "verify", "--nope", "--json").out) as { code: string };
  assert.equal(unknown.code, "USAGE");
});
