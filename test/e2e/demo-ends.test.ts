import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { requireEnvoy } from "./fixture/requirements.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();

const PORT_BASE = 23_300;
const RUN_DIR = `.ballast/demo-${PORT_BASE}`;
/** The control server, Envoy, the load generator and seven targets. */
const PROCESSES = 10;
const START_MS = 120_000;

interface Running {
  child: ChildProcess;
  ended: Promise<{ exitCode: number | null; signal: string | null }>;
  pids: number[];
}

/** `ballast up` until its first epoch is told; it runs in a process group of its own, so that a signal reaches it alone. */
async function up(): Promise<Running> {
  await rm(join(RUN_DIR, "processes.json"), { force: true });
  const args = ["control/cli/main.ts", "up", "--port-base", String(PORT_BASE)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    child.once("exit", (exitCode, signal) => resolve({ exitCode, signal }));
  });
  try {
    await until(
      "the demo steers",
      () => {
        if (child.exitCode !== null) throw new Error(`the demo ended with ${child.exitCode}: ${stderr}`);
        return /epoch 1:/.test(stdout + stderr);
      },
      START_MS,
    );
    const list = JSON.parse(await readFile(join(RUN_DIR, "processes.json"), "utf8")) as Record<string, number>;
    const pids = Object.values(list);
    assert.equal(pids.length, PROCESSES, Object.keys(list).join());
    assert.deepEqual(pids.filter(isAlive), pids);
    // The guard, which ends the others when it must, is a child too.
    pids.push(...(await childrenOf(child.pid!)));
    return { child, ended, pids };
  } catch (thrown) {
    child.kill("SIGKILL");
    throw thrown;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

describe("the demo leaves no process behind", { skip: requirements.skip }, () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`after ${signal}, which ends it in order`, async () => {
      const demo = await up();
      demo.child.kill(signal);
      assert.deepEqual(await demo.ended, { exitCode: 0, signal: null });
      await until("all processes are gone", () => !demo.pids.some(isAlive));
    });
  }

  test("after SIGKILL, which gives it no chance to end anything", async () => {
    const demo = await up();
    demo.child.kill("SIGKILL");
    assert.deepEqual(await demo.ended, { exitCode: null, signal: "SIGKILL" });
    await until("all processes are gone", () => !demo.pids.some(isAlive));
  });

  test("when it is told to end while it still starts", {
    skip: process.platform !== "linux" && "needs /proc",
  }, async () => {
    const args = ["control/cli/main.ts", "up", "--port-base", String(PORT_BASE)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"], detached: true });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const started = await until("it started something", async () => {
      if (child.exitCode !== null) throw new Error(`the demo ended with ${child.exitCode}: ${stderr}`);
      const children = await childrenOf(child.pid!);
      return children.length >= 3 && children;
    });
    child.kill("SIGINT");
    await ended;
    await until("all processes are gone", () => !started.some(isAlive));
  });
});
