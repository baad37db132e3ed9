import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { DemoResult } from "../../demo/result.ts";
import { requireEnvoy } from "./fixture/requirements.ts";

/** `ballast up` as a user runs it: everything real, judged by what the client saw. */
const MAIN = "control/cli/main.ts";
const PORT_BASE = 23_100;

const { skip } = await requireEnvoy();
const needsEnvoy = { skip, timeout: 300_000 };

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "up-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function up(...flags: string[]): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  const args = [MAIN, "up", "--json", "--port-base", String(PORT_BASE), ...flags];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { exitCode, stdout, stderr };
}

function resultOf(run: { exitCode: number | null; stdout: string; stderr: string }): DemoResult {
  assert.equal(run.exitCode, 0, run.stderr);
  const last = run.stdout.trimEnd().split("\n").at(-1)!;
  return JSON.parse(last) as DemoResult;
}

/** What the demo started last time it wrote its list; empty when all of it was ended in order. */
async function leftBehind(): Promise<string[]> {
  const list = JSON.parse(await readFile(`.ballast/demo-${PORT_BASE}/processes.json`, "utf8")) as Record<
    string,
    number
  >;
  return Object.keys(list);
}

test("on static weights the change in the calendar costs requests, and nothing stays behind", needsEnvoy, async () => {
  // The same demo, begun a quarter of an hour (3 s) before the window opens.
  const config = join(folder, "late.yaml");
  const text = await readFile("demo/ballast.yaml", "utf8");
  assert.match(text, /start: 2026-03-02T06:05:00Z/);
  await writeFile(config, text.replace("start: 2026-03-02T06:05:00Z", "start: 2026-03-02T08:45:00Z"));
  const result = resultOf(await up("--no-ballast", "--seconds", "8", "--config", config));
  assert.ok(result.errors_total > 0);
  assert.equal(result.services.payments?.targets["payments-site-a"]?.errors, 0);
  assert.ok(result.services.payments!.targets["payments-site-b"]!.errors > 0);
  assert.deepEqual(result.epochs, []);
  assert.equal(result.first_steered_s, null);
  assert.deepEqual(await leftBehind(), []);
});

test(
  "with Ballast the same change costs nothing: moved away before it, brought home after it",
  needsEnvoy,
  async () => {
    const result = resultOf(await up("--seconds", "100"));
    assert.equal(result.errors_total, 0);
    assert.equal(result.retries_total, 0);
    assert.equal(result.sessions_moved, result.sessions_min_moved);
    assert.equal(result.slots_moved, result.slots_min_moved);
    assert.ok(result.sessions_moved > 0);
    assert.ok(result.first_steered_s! < 120);
    assert.ok(result.epochs.some((epoch) => epoch.at_s > 0 && epoch.at_s < 35));
    assert.ok(result.epochs.some((epoch) => epoch.at_s > 65));
    for (const [service, { targets }] of Object.entries(result.services)) {
      for (const [name, { planned, actual, requests }] of Object.entries(targets)) {
        assert.ok(requests > 0, name);
        assert.ok(Math.abs(actual! - planned) <= 0.02, `${service} ${name}: planned ${planned}, actual ${actual}`);
      }
    }
    assert.deepEqual(await leftBehind(), []);
  },
);
