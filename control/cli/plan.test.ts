import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./plan.ts";

async function plan(...args: string[]): Promise<{ out: string; err: string[] }> {
  const [out, err]: [string[], string[]] = [[], []];
  const io = { out: (text: string) => out.push(text), err: (text: string) => err.push(text), color: false };
  assert.equal(await run(args, io), 0);
  return { out: out.join("\n"), err };
}

const HISTORY_END = "2026-03-02T06:05:00.000Z";

test("a span that runs past the load history says on stderr from when on the load and the model are missing", async () => {
  const beyond = await plan("--chain", "baseline", "--from", "2026-03-02T06:00:00Z", "--to", "2026-03-02T07:10:00Z");
  assert.deepEqual(beyond.err, [
    `the load history ends at ${HISTORY_END}; later plans have no present load, and no model, from 2026-03-02T07:05:00.000Z on`,
  ]);
  const within = await plan("--chain", "baseline", "--from", "2026-03-02T06:00:00Z", "--to", "2026-03-02T07:05:00Z");
  assert.deepEqual(within.err, []);
});

test("a plan past the load history does not call the missing load 0 rps", async () => {
  const { out } = await plan("--chain", "baseline", "--at", "2026-03-02T08:00:00Z");
  assert.match(out, /load now not known/);
  assert.doesNotMatch(out, /\b0 rps now/);
});
