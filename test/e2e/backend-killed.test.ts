import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Process } from "../../demo/processes.ts";
import { Load } from "./fixture/client.ts";
import { ControlServer } from "./fixture/control-server.ts";
import { type RunningEnvoy, startEnvoy } from "./fixture/envoy.ts";
import { otherEstate } from "./fixture/estates.ts";
import { freePorts } from "./fixture/ports.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { Rig } from "./fixture/rig.ts";

const requirements = await requireEnvoy();

const BACKEND = join(import.meta.dirname, "..", "..", "demo", "backend.ts");
const TARGET = "ledger-site-b";
/** What the product promises. */
const MOST_MS = 10_000;
const BASE_SHARE = 0.5;

describe("SIGKILL of one backend host", { skip: requirements.skip }, () => {
  let rig: Rig;
  let server: ControlServer;
  let envoy: RunningEnvoy;
  let load: Load;
  const backends = new Map<string, Process>();
  const ports = new Map<string, number>();
  let killedAt = 0;
  let epochsBefore = 0;

  async function startBackend(target: string): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const backend = await rig.processes.start({
      name: target,
      file: process.execPath,
      args: [BACKEND, "--target", target, "--port", String(ports.get(target)), "--capacity", "200"],
      ipc: true,
      onMessage: () => ready.resolve(),
      onExit: (how) => ready.reject(new Error(`${target} ended: ${how}`)),
    });
    backends.set(target, backend);
    await ready.promise;
  }

  before(async () => {
    rig = await Rig.open();
    server = await ControlServer.prepare(rig, await otherEstate(rig, "--no-windows"));
    const names = Object.values(server.base).flatMap((targets) => Object.keys(targets));
    const free = await freePorts(names.length);
    for (const [i, name] of names.entries()) ports.set(name, free[i]!);
    await Promise.all(names.map(startBackend));
    const services = Object.entries(server.base).map(([name, targets]) => ({
      name,
      targets: Object.entries(targets).map(([target, basePpm]) => ({
        name: target,
        basePpm,
        port: ports.get(target)!,
      })),
    }));
    envoy = await startEnvoy(rig, {
      requirements,
      services,
      xdsPort: server.xdsPort,
      adminPort: server.adminPort,
      fleet: server.inputs.config.fleet,
      concurrency: 2,
    });
    await server.start();
    await server.synced();
    load = new Load(rig, { port: envoy.port, services: Object.keys(server.base), rps: 90, cookies: 64 });
  });
  after(() => rig?.close());

  const shares = (): number[] => server.epochs.map(({ services }) => services.ledger!.targets[TARGET]!.planned);

  test(`its share is gone within ${MOST_MS / 1000} s, by an epoch that says why`, async () => {
    epochsBefore = server.epochs.length;
    killedAt = performance.now();
    await backends.get(TARGET)!.kill();
    const { why } = await server.epoch(
      "the emergency epoch",
      ({ services }) => services.ledger!.targets[TARGET]!.planned === 0,
      epochsBefore,
    );
    assert.match(why, /ledger: at once: site-b .*no healthy host/);
  });

  test("it comes back stepwise once it is healthy again", async () => {
    const down = server.epochs.length;
    // Some seconds of the new weights alone.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await startBackend(TARGET);
    await server.epoch(
      "back on base",
      ({ services }) => services.ledger!.targets[TARGET]!.planned === BASE_SHARE,
      down,
    );
    const way = shares().slice(down);
    assert.ok(way.filter((share) => share > 0 && share < BASE_SHARE).length >= 1, `steps: ${way}`);
    const rising = [...way].sort((a, b) => a - b);
    assert.deepEqual(way, rising);
  });

  test("judged by the client: nothing went there later than promised, until it came back, and nothing else failed", async () => {
    await load.stop();
    const toDead = load.answers.filter(({ cluster, status }) => cluster === TARGET && status !== 200);
    const latest = Math.max(0, ...toDead.map(({ sentMs }) => sentMs - killedAt));
    assert.ok(latest < MOST_MS, `a request was lost ${Math.round(latest)} ms after the kill`);
    assert.deepEqual(
      load.failed.filter(({ cluster }) => cluster !== TARGET),
      [],
    );
    const others = load.answers.filter(({ service }) => service !== "ledger");
    assert.ok(others.length > 0);
    assert.deepEqual(
      others.filter(({ route }) => route !== "steered"),
      [],
    );
    assert.deepEqual(await envoy.traps(), []);
  });
});
