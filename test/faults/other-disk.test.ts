import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { parse, stringify } from "yaml";
import { decodeMemory } from "../../control/capacity/capacity-memory.ts";
import { openStore } from "../../control/checkpoint/open-store.ts";
import type { CheckpointRecord } from "../../control/checkpoint/record.ts";
import { type CheckpointStore, committedCheckpoint } from "../../control/checkpoint/store.ts";
import { loadConfig } from "../../control/config/load-config.ts";
import type { StatusView } from "../../control/serve/api-routes.ts";
import type { ModelView } from "../../control/serve/model-desk.ts";
import { findNats } from "../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { startEnvoy, trustLoopback } from "../e2e/fixture/envoy.ts";
import { freePorts } from "../e2e/fixture/ports.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { Rig } from "../e2e/fixture/rig.ts";
import { startUpstreams } from "../e2e/fixture/upstreams.ts";
import { until } from "../e2e/fixture/wait.ts";
import { assertServed, soundHistory } from "./invariants.ts";
import { ServerProcess } from "./server-process.ts";
import { DEBUG_HEADER, WatchedLoad } from "./watched-load.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const requirements = await requireEnvoy();
const nats = await findNats();
if (nats === null && process.env.CI) throw new Error("no nats-server: npm test fetches one");
const skip = requirements.skip || (nats === null && "no nats-server: npm test fetches one");

const FLEET = "carried";
const STORE = "carried";
const MODEL = join(ROOT, "models", "committed", "demand");
/** Measured by the real Envoy, and the only one whose capacities are learnt. The load of the others is what the history says. */
const SERVICE = "payments";
const TARGETS = ["payments-site-a", "payments-site-b"] as const;
const RPS = 40;

/**
 * Two control servers, each with a folder of its own, on one NATS server as it comes (messages of at most 1 MiB), and one Envoy under load. The
 * planning clock runs an hour a second through the demo's load history: what a forecast spoke of has happened a second later.
 */
describe("a server with another disk, on one NATS server, takes over", { skip, timeout: 240_000 }, () => {
  let rig: Rig;
  let cluster: NatsCluster;
  let servers: [a: ServerProcess, b: ServerProcess];
  let store: CheckpointStore;
  let load: WatchedLoad;
  let sha256: string;
  let turn = 0;

  before(async () => {
    rig = await Rig.open();
    cluster = await NatsCluster.start({ size: 1 });
    rig.later(() => cluster.stop());
    const [adminPort, ...ports] = (await freePorts(5)) as [number, number, number, number, number];
    const yaml = parse(await readFile(join(ROOT, "demo", "ballast.yaml"), "utf8"));
    yaml.fleet = FLEET;
    yaml.clock = { start: "2026-02-23T08:00:00Z", rate: 3600 };
    for (const section of ["model", "riskModel"]) delete yaml[section];
    yaml.estate.servicenow = join(ROOT, yaml.estate.servicenow);
    yaml.history.csv = join(rig.folder, "history.csv");
    await writeFile(yaml.history.csv, await historyWithout(SERVICE, join(ROOT, "demo", "estate", "load_history.csv")));
    yaml.envoy.admin = [`http://127.0.0.1:${adminPort}`];
    yaml.policy = { ...yaml.policy, stepLimit: "100%", telemetryMaxAge: "1d" };
    yaml.rollout = { cohorts: ["100%"], slotStep: "100%", bakeTime: "0s", telemetryGap: "1d", maxFailedNodes: "100%" };
    yaml.forecast = { promotion: { minWindows: 2, margin: "1%" } };
    // Kept one service at a time, ten seconds for all: with three the first is kept after a third of that.
    for (const name of Object.keys(yaml.services)) yaml.services[name].objective = { latency: "250ms" };
    yaml.services[SERVICE].capacity.reading = "1s";
    const nats = {
      servers: cluster.servers,
      monitor: cluster.monitors,
      name: STORE,
      replicas: 1,
      allowFewReplicas: true,
    };
    const base = { [TARGETS[0]]: 600_000, [TARGETS[1]]: 400_000 };
    const { services } = await startUpstreams(rig, { [SERVICE]: base });
    const anchor = `${Date.now()}\n`;
    const prepare = async (name: string): Promise<ServerProcess> => {
      const [xdsPort, apiPort] = ports.splice(0, 2) as [number, number];
      const folder = join(rig.folder, name);
      await mkdir(folder);
      // One calendar for both, as the real one is.
      await writeFile(join(folder, "ballast.db.anchor"), anchor);
      yaml.store = { nats: { ...nats, folder } };
      yaml.server = { xds: `127.0.0.1:${xdsPort}`, api: `127.0.0.1:${apiPort}`, lease: "2s" };
      const configPath = join(rig.folder, `${name}.yaml`);
      await writeFile(configPath, stringify(yaml));
      return new ServerProcess(rig, { name, configPath, xdsHost: "127.0.0.1", xdsPort, apiPort });
    };
    servers = [await prepare("a"), await prepare("b")];
    const [a, b] = servers;
    await a.start();
    await a.leads();
    const standby = b.start();
    // After the leader: one that finds nobody backs off for seconds.
    const envoy = await startEnvoy(rig, {
      requirements,
      services,
      xdsPort: [a.xdsPort, b.xdsPort],
      adminPort,
      fleet: FLEET,
      concurrency: 2,
      debugHeader: DEBUG_HEADER,
      edit: trustLoopback,
    });
    load = new WatchedLoad(rig, { port: envoy.port, services: [SERVICE], rps: RPS });
    await standby;
    store = await openStore((await loadConfig(a.configPath)).store);
    rig.later(() => store.close());
    await standsBy(b);
    await load.reaches(1);
  });
  after(() => rig?.close());

  const view = async (server: ServerProcess) => (await server.api("GET", "/v1/model")).body as ModelView;
  const status = async (server: ServerProcess) => (await server.api("GET", "/v1/status")).body as StatusView;
  const post = async (server: ServerProcess, path: string, body: object = {}) =>
    (await server.api("POST", path, { reason: "CHG7", ...body })).body as Record<string, unknown>;
  const AUTHOR = { author: "alice" };
  const standsBy = (server: ServerProcess) =>
    until(`${server.name} waits`, async () => (await server.role()) === "standby");
  const folderOf = (server: ServerProcess) => join(rig.folder, server.name, "ballast.db.models");
  const linksOf = async (server: ServerProcess) =>
    new Set(
      (await status(server)).services.flatMap(({ name, forecast }) => (name === SERVICE ? [] : [forecast?.source])),
    );
  const recordOf = async (epoch: number): Promise<CheckpointRecord> =>
    (await committedCheckpoint(store, epoch))!.record;

  /** Moves all of the service from one target to the other. */
  async function move(server: ServerProcess): Promise<number> {
    const weightsPpm = { [TARGETS[turn++ % 2]!]: 1_000_000 };
    return until("the change is in force", async () => {
      const made = await post(server, "/v1/changes", { services: [{ name: SERVICE, weightsPpm }], ...AUTHOR });
      if (made.code !== undefined && !/IN_FLIGHT|STALE/.test(String(made.code))) throw new Error(JSON.stringify(made));
      return made.state === "active" && Number(made.epoch);
    });
  }

  /** The same, until the Envoy steers by it. */
  async function flip(server: ServerProcess): Promise<number> {
    const epoch = await move(server);
    await load.reaches(epoch);
    return epoch;
  }

  /** No request failed, and each was answered by a target of the one committed epoch that it was steered by. */
  async function check(): Promise<Map<number, CheckpointRecord>> {
    const seen = load.seen.splice(0);
    const committed = await soundHistory(store);
    assertServed("edge-1", seen, committed);
    return committed;
  }

  /** Readings behind what is kept of each target, and the term of the server that kept it. */
  async function learnt(): Promise<{ term: number; weights: number[] } | null> {
    const kept = await store.kept(`capacity/${SERVICE}`);
    const memory = kept === null ? null : decodeMemory(kept.text, SERVICE);
    if (memory === null) return null;
    const weights = TARGETS.map((name) =>
      (memory.targets.find(({ target }) => target === name)?.state.bins ?? []).reduce(
        (sum, [, weight]) => sum + weight,
        0,
      ),
    );
    return { term: kept!.term, weights };
  }

  test("a leader's candidate is promoted by a person and answers; the one that waits has none of its files", async () => {
    const [a, b] = servers;
    const shadow = await post(a, "/v1/model/shadow", { folder: MODEL, ...AUTHOR });
    sha256 = (shadow as unknown as ModelView).candidate!.sha256;
    await until("enough windows", async () => (await view(a)).comparison?.missing.length === 0);
    const promoted = await post(a, "/v1/model/promote", AUTHOR);
    assert.equal(promoted.state, "validated", JSON.stringify(promoted));
    const approved = await post(a, `/v1/changes/${promoted.epoch}/approve`, { by: "bob" });
    assert.equal(approved.state, "active", JSON.stringify(approved));
    await until("the model forecasts", async () => [...(await linksOf(a))].join() === "model");
    assert.equal((await recordOf(await flip(a))).model, sha256);
    assert.equal(await b.role(), "standby");
    await assert.rejects(readFile(join(folderOf(b), sha256.slice(0, 32), "manifest.json")), { code: "ENOENT" });
    await check();
  });

  test("after SIGKILL of the leader by the next epoch, with the same model and with what was learnt of capacities", async () => {
    const [a, b] = servers;
    const before = await until("capacities are kept", async () => {
      const kept = await learnt();
      return kept?.weights.every((weight) => weight > 0) && kept;
    });
    const { term } = await store.head();
    await a.kill();
    const { reservedEpoch, epoch } = await store.head();
    await b.leads();
    const now = await status(b);
    assert.deepEqual([now.term > term, now.epoch >= epoch], [true, true]);

    const { active, champion, alarms } = await view(b);
    assert.deepEqual([active.model, active.sha256, champion?.sha256, alarms], ["ready", sha256, sha256, []]);
    for (const name of ["manifest.json", "demand.onnx"])
      assert.deepEqual(await readFile(join(folderOf(b), sha256.slice(0, 32), name)), await readFile(join(MODEL, name)));
    await until("the model forecasts", async () => [...(await linksOf(b))].join() === "model");

    // The Envoy may still look for the one that died.
    const next = await recordOf(await move(b));
    assert.deepEqual([next.model, next.term, next.author.name], [sha256, now.term, "alice"]);
    const [first] = await store.history({ epoch: reservedEpoch + 1 });
    assert.deepEqual([first?.body.kind, first?.term], ["reserve", now.term], "no number is left out");

    const [restored] = (await b.log()).match(/\{[^\n]*"msg":"learnt capacities go on"\}/) ?? [];
    assert.equal((JSON.parse(restored ?? "{}") as { targets?: number }).targets, TARGETS.length);
    // Evidence counts half after a week, which is under three minutes of this clock.
    await until("what was learnt before is kept by the one that leads", async () => {
      const kept = await learnt();
      return kept?.term === now.term && kept.weights.every((weight, i) => weight >= before.weights[i]! / 2);
    });
  });

  test("the one that comes back waits, and can change nothing under its old term; the Envoy goes on by the other's epochs", async () => {
    const [a, b] = servers;
    const { term: newest, epoch } = await store.head();
    // Its disk is gone.
    await rm(folderOf(a), { recursive: true });
    await a.start();
    await standsBy(a);
    const refused = await post(a, "/v1/changes", {
      services: [{ name: SERVICE, weightsPpm: { [TARGETS[0]]: 1_000_000 } }],
      ...AUTHOR,
    });
    assert.equal(refused.code, "SERVER_STANDBY");
    assert.match(String(refused.message), new RegExp(`:${b.apiPort} leads`));
    const old = { term: newest - 1 };
    const fenced = { code: "STORE_FENCED" };
    await assert.rejects(store.reserve(epoch, { holder: "a", ...old }), fenced);
    await assert.rejects(store.append({ kind: "note", epoch: null, topic: "late", detail: null }, old), fenced);
    await assert.rejects(store.keep(`capacity/${SERVICE}`, "", old), fenced);
    assert.equal((await store.head()).term, newest);

    await load.reaches(await move(b));
    const own = [...(await check()).values()].filter((record) => record.term === newest);
    assert.ok(own.length >= 2 && own.every(({ model }) => model === sha256));
    // A person set it to zero: that its server died does not put it out of service.
    const emptied = own.flatMap(({ services }) => services.find(({ name }) => name === SERVICE)!.targets);
    assert.ok(emptied.every(({ draining }) => !draining));
  });

  test("a piece of the model that is damaged in NATS: the one that takes over names it, and falls back without it", async () => {
    const [a, b] = servers;
    await spoil(cluster, `model/demand/${sha256}/demand.onnx/1`);
    await b.stop();
    await a.leads();
    const { active, champion, alarms } = await view(a);
    assert.deepEqual([active.model, active.sha256, champion?.sha256], ["refused", null, sha256]);
    assert.equal(alarms.length, 1);
    assert.match(
      alarms[0]!,
      new RegExp(`^MODEL_MISSING: the promoted model ${sha256.slice(0, 12)} .*STORE_CORRUPT: .*; no model does$`),
    );
    assert.ok((await status(a)).alarms.includes(alarms[0]!), "the status has the alarm");
    assert.deepEqual([...(await linksOf(a))], ["seasonal_naive"]);
    assert.equal((await recordOf(await move(a))).model, undefined);
    assert.equal(a.ended, null);
    await check();
  });
});

/** The demo's load history without what is measured here: the one would not go on as the other. */
async function historyWithout(service: string, path: string): Promise<string> {
  const rows = (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => line.split(","));
  const left = rows[0]!.indexOf(service);
  assert.ok(left > 0);
  return `${rows.map((row) => row.toSpliced(left, 1).join(",")).join("\n")}\n`;
}

/** Changes bytes of a keepsake behind the store's back. */
async function spoil(cluster: NatsCluster, name: string): Promise<void> {
  const nc = await connect({ servers: cluster.servers });
  try {
    const bucket = await new Kvm(nc).open(`${STORE}_lease`);
    for await (const key of await bucket.keys()) {
      const text = (await bucket.get(key))!.string();
      if (!text.includes(name)) continue;
      await bucket.put(key, `${text.slice(0, -200)}${"A".repeat(100)}${text.slice(-100)}`);
      return;
    }
    assert.fail(`${name} is not in the store`);
  } finally {
    await nc.close();
  }
}
