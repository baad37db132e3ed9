import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { parseDocument } from "yaml";
import type { StatusView } from "../../control/serve/api-routes.ts";
import { DEMO_HEADERS, type DemoService } from "../../envoy/demo.ts";
import { Load, type Observed } from "./fixture/client.ts";
import { ControlServer } from "./fixture/control-server.ts";
import { type RunningEnvoy, startEnvoy } from "./fixture/envoy.ts";
import { otherEstate } from "./fixture/estates.ts";
import { freePorts } from "./fixture/ports.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { Rig } from "./fixture/rig.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();

const NODES = ["edge-1", "edge-2"] as const;
const NEW = "quotes-newhw";
const CHANGE: Record<string, number> = { "quotes-site-a": 500_000, "quotes-site-b": 300_000, [NEW]: 200_000 };

/** Two Envoys, one control server: quotes is to send 20 % to a target that nobody uses yet. */
describe("a change on two Envoys", { skip: requirements.skip, timeout: 120_000 }, () => {
  let rig: Rig;
  let server: ControlServer;
  let apiPort = 0;
  const envoys = new Map<string, RunningEnvoy>();
  const loads = new Map<string, Load>();
  /** Targets that answer every request with 500. */
  const sick = new Set<string>();
  let canary = "";

  const status = async (): Promise<StatusView> => (await server.status()) as unknown as StatusView;
  const call = async (path: string, body: object): Promise<{ code?: string; epoch: number; state: string }> => {
    const response = await fetch(`http://127.0.0.1:${apiPort}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ author: "alice", ...body }),
    });
    return (await response.json()) as { code?: string; epoch: number; state: string };
  };
  const propose = (weightsPpm = CHANGE) =>
    call("/v1/changes", { services: [{ name: "quotes", weightsPpm }], reason: "take the new hardware in" });

  async function startTarget(name: string): Promise<number> {
    const target = createServer((request, response) => {
      const failed = request.url !== "/healthz" && sick.has(name);
      response.writeHead(failed ? 500 : 200, { [DEMO_HEADERS.servedBy]: name }).end();
    });
    target.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
    rig.later(() => {
      target.closeAllConnections();
      return new Promise((resolve) => target.close(resolve));
    });
    return (target.address() as { port: number }).port;
  }

  before(async () => {
    rig = await Rig.open();
    const config = await otherEstate(rig, "--no-windows");
    const document = parseDocument(await readFile(config, "utf8"));
    const quotes = ["services", "quotes", "targets"];
    for (const [name, base] of Object.entries({ "quotes-site-a": "60%", "quotes-site-b": "40%", [NEW]: "0%" })) {
      document.setIn([...quotes, name, "base"], base);
      // Nothing but this test moves the weights.
      document.setIn([...quotes, name, "capacityRps"], 1_000_000);
    }
    // Eight seconds of real time, so that a busy machine sees the first step before it is over.
    document.setIn(["rollout"], { cohorts: ["one", "100%"], bakeTime: "40m", telemetryGap: "80m" });
    await writeFile(config, document.toString());
    server = await ControlServer.prepare(rig, config);
    const [secondAdmin] = (await freePorts(1)) as [number];
    const admins = [server.adminPort, secondAdmin];
    const own = parseDocument(await readFile(server.configPath, "utf8"));
    own.setIn(
      ["envoy", "admin"],
      admins.map((port) => `http://127.0.0.1:${port}`),
    );
    await writeFile(server.configPath, own.toString());
    apiPort = Number(String(own.getIn(["server", "api"])).split(":")[1]);
    const services: DemoService[] = [];
    for (const [name, targets] of Object.entries(server.base)) {
      const listening = Object.entries(targets).map(async ([target, basePpm]) => ({
        name: target,
        basePpm,
        port: await startTarget(target),
      }));
      services.push({ name, targets: await Promise.all(listening) });
    }
    for (const [i, nodeId] of NODES.entries()) {
      const fleet = server.inputs.config.fleet;
      const at = { requirements, services, xdsPort: server.xdsPort, adminPort: admins[i]!, fleet, nodeId };
      envoys.set(nodeId, await startEnvoy(rig, at));
    }
    await server.start();
    await until("both use the epoch in force", async () => {
      const { epoch, nodes } = await status();
      return epoch > 0 && nodes.filter(({ connected, current }) => connected && current).length === 2;
    });
    for (const [nodeId, { port }] of envoys)
      loads.set(nodeId, new Load(rig, { port, services: Object.keys(server.base), rps: 90 }));
    // So that there is a before to compare with.
    await until("telemetry of both", async () => (await status()).unreachable.length === 0);
  });
  after(() => rig?.close());

  const toNew = (nodeId: string): Observed[] => loads.get(nodeId)!.answers.filter(({ cluster }) => cluster === NEW);

  test("reaches one of them, under one epoch for both", async () => {
    const answer = await propose();
    assert.equal(answer.state, "active");
    const view = await status();
    const ahead = view.nodes.filter((node) => node.ahead).map(({ id }) => id);
    assert.equal(ahead.length, 1);
    canary = ahead[0]!;
    const versions = view.nodes.map(({ activeVersion }) => activeVersion);
    for (const version of versions) assert.ok(version.startsWith(`${answer.epoch}-`), version);
    assert.notEqual(versions[0], versions[1], "each with its own set");
    const { rollouts } = view;
    const flight = rollouts.inFlight.find(({ unit }) => unit === answer.epoch)!;
    assert.deepEqual([flight.step, flight.steps, flight.nodes, flight.of], [1, 2, 1, 2]);
    const other = { ...CHANGE, "quotes-site-a": 600_000, [NEW]: 100_000 };
    assert.equal((await propose(other)).code, "CHANGE_IN_FLIGHT");
  });

  test("is taken back by itself when that one breaks the service's promise, and says by which figures", async () => {
    sick.add(NEW);
    const taken = await until("the automatic rollback", async () => {
      const { rollouts } = await status();
      return rollouts.takenBack.find(({ service }) => service === "quotes");
    });
    assert.match(taken!.reason, /quotes: \d+ of \d+ requests .*failed, the objective is 1 %/);
    const view = await status();
    assert.deepEqual(
      view.nodes.map(({ activeVersion }) => activeVersion),
      Array(2).fill(view.server.committedVersion),
    );
    assert.ok(view.alarms.some((alarm) => alarm.startsWith("ROLLED_BACK: quotes")));
    assert.ok(view.changes.owed.some(({ trigger }) => trigger === "automatic_rollback"));
    assert.deepEqual(view.changes.pinned, []);
  });

  test("cost the other Envoy nothing, and no request of either met anything but its own epoch's targets", async () => {
    const at = performance.now();
    const before = toNew(canary).length;
    assert.ok(before > 0);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.deepEqual(
      toNew(canary).filter(({ sentMs }) => sentMs > at),
      [],
      "nothing goes there once it is taken back",
    );
    const [other] = NODES.filter((id) => id !== canary) as [string];
    assert.deepEqual(toNew(other), []);
    assert.deepEqual(loads.get(other)!.failed, []);
    for (const { failed, answers } of loads.values()) {
      assert.deepEqual(
        failed.filter(({ cluster, status: code }) => cluster !== NEW || code !== 500),
        [],
      );
      assert.deepEqual(
        answers.filter(({ route }) => route !== "steered"),
        [],
      );
    }
  });

  test("goes from one to both once the target is well and a person says so, also when the server is killed between", async () => {
    sick.clear();
    await call("/v1/resume", { services: ["quotes"] });
    const { epoch } = await propose();
    const { term } = await status();
    await server.kill();
    await server.start();
    const steps: (number | "through")[] = [];
    await until("the change is through", async () => {
      const { rollouts } = await status();
      const step = rollouts.inFlight.find(({ unit }) => unit === epoch)?.step ?? "through";
      if (steps.at(-1) !== step) steps.push(step);
      return step === "through";
    });
    assert.deepEqual(steps, [1, 2, "through"]);
    const after = await status();
    assert.ok(after.term > term);
    assert.deepEqual(
      after.services.find(({ name }) => name === "quotes")!.targets.map(({ weightPpm }) => weightPpm),
      [500_000, 300_000, 200_000],
    );
    for (const nodeId of NODES) {
      const seen = toNew(nodeId).length;
      await until(`${nodeId} uses the new hardware`, () => toNew(nodeId).length > seen);
    }
    const history = await fetch(`http://127.0.0.1:${apiPort}/v1/epochs/${epoch}`);
    assert.equal(((await history.json()) as { state: string }).state, "closed");
    for (const load of loads.values()) await load.stop();
    for (const envoy of envoys.values()) assert.deepEqual(await envoy.traps(), []);
  });
});
