import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const repo = resolve(import.meta.dirname, "../..");
const python = process.env.BALLAST_PYTHON ?? "python3";

/** A training that never ends by itself: its process, and the id of the Python that it started. */
async function startedTraining() {
  const script = `
    import { runProgress } from ${JSON.stringify(join(import.meta.dirname, "run-progress.ts"))};
    const code = "import os,time; from pipeline.starter import end_with_starter; end_with_starter(); print('progress', os.getpid(), flush=True); time.sleep(600)";
    await runProgress(${JSON.stringify(python)}, ["-c", code], { env: { PYTHONPATH: "models/tfx" }, binds: [], progress: console.log })
      .catch((error) => { console.log(error.message); process.exitCode = 130; });`;
  const command = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: repo,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  const reader = createInterface(command.stdout).on("line", (line) => lines.push(line));
  await once(reader, "line");
  return { command, lines, trainer: Number(lines[0]) };
}

/** Until a process is gone, or is a zombie that a container's first process never fetches. */
async function ended(pid: number): Promise<void> {
  while (runs(pid)) await sleep(20);
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("a signal ends what was started, and is told as an interruption", { timeout: 60_000 }, async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const { command, lines, trainer } = await startedTraining();
    const close = once(command, "close");
    command.kill(signal);
    assert.deepEqual(await close, [130, null]);
    assert.equal(lines[1], `TRAIN_INTERRUPTED: ended by ${signal}`);
    await ended(trainer);
  }
});

test("what was started does not outlive a command that is killed", { timeout: 60_000 }, async () => {
  const { command, trainer } = await startedTraining();
  command.kill("SIGKILL");
  await ended(trainer);
});
