import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckpointRecord } from "../../control/checkpoint/record.ts";
import { findNats } from "../../scripts/fetch-nats.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { FleetStand, type StandOptions } from "./fleet-stand.ts";
import { soundHistory } from "./invariants.ts";
import type { ServerProcess } from "./server-process.ts";

const requirements = await requireEnvoy();
const noNats =
  ((await findNats()) === null && "no nats-server: npm test fetches one") ||
  (process.env.BALLAST_FAULTS !== "all" && "half a minute long: BALLAST_FAULTS=all, as in npm run faults");

/** A file system of its own on a few megabytes of memory, or why there is none. */
async function smallDisk(megabytes: number): Promise<{ folder: string; unmount: () => Promise<void> } | string> {
  const folder = await mkdtemp(join(tmpdir(), "ballast-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0777`, "tmpfs", folder], { stdio: "pipe" });
  } catch (error) {
    await rm(folder, { recursive: true });
    return `no file system can be mounted here: ${(error as Error).message.split("\n")[0]}`;
  }
  const unmount = async () => {
    // Lazily: a process that was killed a moment ago may still be on its way out.
    execFileSync("umount", ["-l", folder]);
    await rm(folder, { recursive: true, force: true });
  };
  return { folder, unmount };
}

/** Fills it to the last byte; `rm` of the returned file makes room. */
function fill(folder: string): string {
  const file = join(folder, "filler");
  // dd ends with an error exactly when nothing fits any more.
  assert.throws(() => execFileSync("dd", ["if=/dev/zero", `of=${file}`, "bs=4096"], { stdio: "pipe" }));
  return file;
}

/** Asks for epochs until the server cannot confirm its store any more; returns the last refusal. */
async function untilUnready(stand: FleetStand, server: ServerProcess): Promise<string> {
  let last = "";
  await until("the server is not ready", async () => {
    const made = await stand.tryFlip(server);
    if (typeof made === "string") last = made;
    return (await server.api("GET", "/readyz")).status === 503;
  });
  return last;
}

describe("what may happen to the machine under a control server", { skip: requirements.skip }, () => {
  const stands: FleetStand[] = [];
  after(async () => {
    for (const stand of stands) await stand.close();
  });
  async function start(t: TestContext, options: Omit<StandOptions, "requirements">): Promise<FleetStand> {
    const stand = await FleetStand.start({ requirements, envoys: 1, ...options });
    stands.push(stand);
    t.diagnostic(`started in ${stand.rig.folder}`);
    return stand;
  }

  test("the disk of the SQLite store fills: epochs stop, requests go on, and with room all goes on", async (t) => {
    const disk = await smallDisk(2);
    if (typeof disk === "string") return t.skip(disk);
    t.after(() => disk.unmount());
    const stand = await start(t, { store: "sqlite", servers: 1, storeFolder: disk.folder });
    const [server] = stand.servers;
    const before = await stand.flip();
    const filler = fill(disk.folder);
    t.diagnostic(await untilUnready(stand, server!));
    await sleep(1_000);
    await rm(filler);
    const after = await stand.flip();
    assert.ok(after > before);
    await stand.check();
  });

  test("the disk of all NATS servers fills: the same", { skip: noNats }, async (t) => {
    const disk = await smallDisk(48);
    if (typeof disk === "string") return t.skip(disk);
    t.after(() => disk.unmount());
    const stand = await start(t, { servers: 1, storeFolder: disk.folder });
    const [server] = stand.servers;
    const before = await stand.flip();
    const filler = fill(disk.folder);
    t.diagnostic(await untilUnready(stand, server!));
    await sleep(1_000);
    await rm(filler);
    // A nats-server that met a full disk has put its JetStream out of service until it is started again.
    for (const name of stand.cluster!.names) {
      await stand.cluster!.kill(name);
      stand.cluster!.restart(name);
    }
    await stand.cluster!.ready();
    assert.ok((await stand.flip()) > before);
    await stand.check();
  });

  test("the wall clock of the leader jumps an hour ahead, and back: it leads on; when it dies ahead, another leads soon", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "ballast-clock-"));
    t.after(() => rm(folder, { recursive: true }));
    const files = ["1", "2"].map((name) => join(folder, name));
    for (const file of files) await writeFile(file, "0");
    const stand = await start(t, {
      store: "sqlite",
      env: { NODE_OPTIONS: `--import=${join(import.meta.dirname, "jumping-clock.ts")}` },
      envOf: (index) => ({ BALLAST_CLOCK_FILE: files[index]! }),
    });
    const leader = await stand.leader();
    const file = files[stand.servers.indexOf(leader)]!;
    await writeFile(file, `${3_600_000}`);
    await sleep(2_500);
    assert.equal((await stand.leader()).name, leader.name);
    await stand.flip();
    await writeFile(file, `${-3_600_000}`);
    await sleep(1_000);
    await stand.flip();
    const during = await stand.leader();
    await writeFile(files[stand.servers.indexOf(during)]!, `${3_600_000}`);
    await sleep(1_500);
    await during.kill();
    const killedAtMs = performance.now();
    const next = await stand.leader();
    assert.notEqual(next.name, during.name);
    t.diagnostic(`another leads ${Math.round(performance.now() - killedAtMs)} ms after its death`);
    await stand.flip();
    await stand.check();
  });

  test("a store restored from an old backup: the server stops until an operator adopts what the fleet holds", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "ballast-backup-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const stand = await start(t, { store: "sqlite", servers: 1, storeFolder: folder });
    const [server] = stand.servers;
    const file = join(folder, "ballast.db");
    await stand.flip();
    await server!.stop();
    await copyFile(file, `${file}.backup`);
    await server!.start();
    await server!.leads();
    const epochs = [await stand.flip(), await stand.flip()];
    const lost: Map<number, CheckpointRecord> = await soundHistory(await stand.store());
    await stand.forgetStore();
    await server!.kill();
    for (const suffix of ["", "-wal", "-shm"]) await rm(`${file}${suffix}`, { force: true });
    await copyFile(`${file}.backup`, file);
    await server!.start();
    await until("EPOCH_BEHIND_FLEET is told", () => server!.errors.some((text) => text.includes("EPOCH_BEHIND_FLEET")));
    // The backup may hold an epoch that still baked: that one ends first.
    await until("a change is refused with EPOCH_BEHIND_FLEET", async () =>
      String(await stand.tryFlip(server!)).includes("EPOCH_BEHIND_FLEET"),
    );
    assert.equal((await server!.api("GET", "/readyz")).status, 503);
    const adopted = await server!.api("POST", "/v1/epoch/adopt", { author: "faults" });
    assert.equal(adopted.status, 200, JSON.stringify(adopted.body));
    const after = await stand.flip();
    assert.ok(after > Math.max(...epochs), `${after} after ${epochs}`);
    // What the fleet served between the backup and the loss was committed then, in the log that was lost.
    await stand.check(lost);
  });
});
