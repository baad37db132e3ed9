import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Processes } from "./processes.ts";

const NODE = process.execPath;
const SLEEPER = ["-e", "setInterval(() => {}, 1000)"];

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "processes-"));
});
after(() => rm(folder, { recursive: true, force: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilGone(pid: number): Promise<void> {
  // Generous: a busy machine may take a while to run the guard. The test's own time limit is the bound.
  while (isAlive(pid)) await sleep(20);
}

test("close ends every process, also one that ignores SIGTERM", { timeout: 30_000 }, async () => {
  const processes = new Processes(folder);
  const onExit = (how: string): void => assert.fail(`nobody asked, yet it ended: ${how}`);
  const polite = await processes.start({ name: "polite", file: NODE, args: SLEEPER, onExit });
  const ready = Promise.withResolvers<void>();
  const deaf = await processes.start({
    name: "deaf",
    file: NODE,
    args: ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')"],
    onLine: () => ready.resolve(),
    onExit,
  });
  await ready.promise;
  await processes.close();
  assert.ok(!isAlive(polite.pid));
  assert.ok(!isAlive(deaf.pid));
  assert.deepEqual(processes.running, []);
});

test("a process that ends by itself is told of, with how", { timeout: 30_000 }, async () => {
  const processes = new Processes(folder);
  const ended = Promise.withResolvers<string>();
  await processes.start({ name: "short", file: NODE, args: ["-e", "process.exit(7)"], onExit: ended.resolve });
  assert.equal(await ended.promise, "exit code 7");
  await processes.close();
});

test("a file that cannot be run is an error with its name", async () => {
  const processes = new Processes(folder);
  const start = processes.start({ name: "ghost", file: join(folder, "missing"), args: [], onExit: () => {} });
  await assert.rejects(start, /DEMO_FAILED: ghost cannot be started/);
  await processes.close();
});

test("when the parent is killed and can do nothing, its children end all the same", { timeout: 30_000 }, async () => {
  const program = join(folder, "parent.ts");
  await writeFile(
    program,
    `import { Processes } from ${JSON.stringify(join(import.meta.dirname, "processes.ts"))};
     const processes = new Processes(${JSON.stringify(folder)});
     const child = await processes.start({ name: "orphan", file: process.execPath, args: ${JSON.stringify(SLEEPER)}, onExit: () => {} });
     console.log(child.pid);
     setInterval(() => {}, 1000);`,
  );
  const parent = spawn(NODE, [program], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(line.toString());
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  await untilGone(pid);
});

test("lines of stdout arrive whole, however they were cut", { timeout: 30_000 }, async () => {
  const processes = new Processes(folder);
  const lines: string[] = [];
  const ended = Promise.withResolvers<string>();
  const program =
    "process.stdout.write('fir'); setTimeout(() => process.stdout.write('st\\nsecond\\nthi'), 50); setTimeout(() => process.stdout.write('rd\\n'), 100)";
  await processes.start({
    name: "lines",
    file: NODE,
    args: ["-e", program],
    onLine: (line) => lines.push(line),
    onExit: ended.resolve,
  });
  await ended.promise;
  while (lines.length < 3) await sleep(5);
  assert.deepEqual(lines, ["first", "second", "third"]);
  await processes.close();
});
