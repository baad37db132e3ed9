import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import pino from "pino";
import { parse, stringify } from "yaml";
import { generateEstate } from "../../demo/generate-estate/main.ts";
import { parseOptions } from "../../demo/generate-estate/options.ts";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { callApi } from "../cli/api-client.ts";
import { SimulatedFilter } from "../xds/simulated-filter.ts";
import type { StatusView } from "./api-routes.ts";
import type { ActiveEpoch } from "./epoch-writer.ts";
import { type Serving, serve } from "./serve.ts";

// The whole control server on the demo's estate, with a simulated filter as its fleet and no Envoy to scrape. The planning clock
// runs so fast that hours of the demo's day pass in seconds.
/** The window of the demo's change comes after 21 seconds, of which a busy machine has some to spare. */
const WINDOW_RATE = 500;
const RATE = 1500;

const log = pino({ level: "silent" });
let dir = "";
let config = "";
let admin: Server;
const healthy = new Map<string, boolean>();

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "ballast-serve-"));
  const yaml = parse(await readFile("demo/ballast.yaml", "utf8"));
  admin = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url?.startsWith("/ready")) return response.end("LIVE");
    response.end(JSON.stringify(request.url?.startsWith("/clusters") ? clusters() : { stats: [] }));
  });
  await new Promise<void>((resolve) => admin.listen(0, "127.0.0.1", resolve));
  const { port } = admin.address() as { port: number };
  yaml.clock.rate = RATE;
  yaml.server = { xds: "127.0.0.1:0", api: "127.0.0.1:0" };
  yaml.envoy.admin = [`http://127.0.0.1:${port}`];
  yaml.store.sqlite = join(dir, "store.db");
  yaml.policy.telemetryMaxAge = "10h";
  for (const service of Object.values<{ targets: object }>(yaml.services)) {
    for (const target of Object.keys(service.targets)) healthy.set(target, true);
  }
  config = join(dir, "ballast.yaml");
  await writeFile(config, stringify(yaml));
});

after(async () => {
  admin.closeAllConnections();
  admin.close();
  await rm(dir, { recursive: true, force: true });
});

function clusters(): object {
  return {
    cluster_statuses: [...healthy].map(([name, up]) => ({
      name,
      host_statuses: [
        {
          address: { socket_address: { address: "127.0.0.1", port_value: 1 } },
          stats: [],
          health_status: up
            ? { eds_health_status: "HEALTHY" }
            : { failed_active_health_check: true, eds_health_status: "HEALTHY" },
        },
      ],
    })),
  };
}

async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  for (let tries = 0; tries < 400; tries++) {
    const seen = await look();
    if (seen !== null) return seen;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never came: ${what}`);
}

const status = async (server: Serving) =>
  (await callApi(`127.0.0.1:${server.apiPort}`, "GET", "/v1/status")) as StatusView;
const share = (view: StatusView, service: string, target: string) =>
  view.services.find((s) => s.name === service)!.targets.find((t) => t.name === target)!.stickyPpm;

test("the server moves a service before the window, survives a restart, rolls back and holds", async () => {
  const epochs: { epoch: number; why: string; siteB: number | undefined }[] = [];
  const onEpoch = ({ inForce }: ActiveEpoch) => {
    const payments = inForce.last.get("payments")?.plan.targets;
    const siteB = payments?.find(({ name }) => name === "payments-site-b")?.stickyPpm;
    epochs.push({ epoch: inForce.epoch, why: inForce.record.why, siteB });
  };
  const slower = join(dir, "window.yaml");
  const yaml = parse(await readFile(config, "utf8"));
  yaml.clock.rate = WINDOW_RATE;
  yaml.store.sqlite = join(dir, "window.db");
  await writeFile(slower, stringify(yaml));
  let server = await serve({ configPath: slower, checkAnswers: true, anchorMs: Date.now(), log, onEpoch });
  const filter = new SimulatedFilter({ port: server.xdsPort, fleet: "demo", id: "edge-1", instance: "a" }).open();
  try {
    const drained = await until("payments off site-b", async () => {
      const view = await status(server);
      return view.services.length > 0 && share(view, "payments", "payments-site-b") === 0 ? view : null;
    });
    assert.ok(Date.parse(drained.now) < Date.parse("2026-03-02T09:00:00Z"), `before the window opens: ${drained.now}`);
    assert.ok(
      epochs.some(({ why }) => why.includes("CHG0031028")),
      "the epoch names the ticket",
    );
    const payments = drained.services.find((service) => service.name === "payments")!;
    for (const target of payments.targets) {
      const effects = target.causes.reduce((sum, cause) => sum + cause.effectPpm, 0);
      assert.equal(effects, target.weightPpm - target.basePpm, `the causes of ${target.name} add up`);
    }
    await until("the filter uses the newest epoch", async () =>
      filter.activeVersion.startsWith(`${(await status(server)).epoch}-`) ? true : null,
    );

    const beforeRestart = await status(server);
    filter.close();
    await server.stop();
    server = await serve({ configPath: slower, checkAnswers: true, log, onEpoch });
    const restarted = await status(server);
    assert.ok(restarted.epoch >= beforeRestart.epoch, "epochs go on");
    assert.ok(restarted.term > beforeRestart.term, "under a higher term");
    assert.equal(share(restarted, "payments", "payments-site-b"), share(beforeRestart, "payments", "payments-site-b"));

    filter.options.port = server.xdsPort;
    filter.open();
    const answer = (await callApi(`127.0.0.1:${server.apiPort}`, "POST", "/v1/rollback", {
      epoch: 1,
      author: "tester",
      reason: "drill",
      // On a busy machine the fast clock has opened the window by now.
      force: true,
    })) as { epoch: number; tablesOf: number };
    assert.equal(answer.tablesOf, 1);
    // Where the window is open by now, an emergency epoch follows at the next tick and takes site-b's share away once more.
    await until("the filter follows the rollback", () =>
      Number.parseInt(filter.activeVersion, 10) >= answer.epoch ? true : null,
    );
    assert.equal((await status(server)).held, true);
    const back = epochs.find(({ epoch }) => epoch === answer.epoch);
    assert.ok(back !== undefined && back.siteB === epochs[0]?.siteB, "the tables of epoch 1 are in force again");
    await callApi(`127.0.0.1:${server.apiPort}`, "POST", "/v1/resume", { author: "tester" });
    await until("the planner goes on", async () => ((await status(server)).epoch > answer.epoch ? true : null));
  } finally {
    filter.close();
    await server.stop();
  }
  const store = SqliteStore.open({ path: join(dir, "window.db") });
  const entries = await store.history({ limit: 1000 });
  await store.close();
  const committed = entries.flatMap(({ body }) =>
    body.kind === "checkpoint" && body.checkpoint.state === "active" ? [body.checkpoint.record] : [],
  );
  assert.deepEqual(
    committed.map((record) => record.parent),
    [0, ...committed.slice(0, -1).map((record) => record.epoch)],
    "one committed history",
  );
  assert.ok(committed.every((record) => record.slotsMoved === record.slotsMinMoved));
});

test("a target without a healthy host loses its share by an emergency epoch whose approval is owed", async () => {
  const server = await serve({ configPath: config, checkAnswers: true, anchorMs: Date.now(), log });
  try {
    await until("first weights", async () => ((await status(server)).epoch > 0 ? true : null));
    healthy.set("quotes-newhw", false);
    const view = await until("newhw without a share", async () => {
      const now = await status(server);
      return share(now, "quotes", "quotes-newhw") === 0 ? now : null;
    });
    assert.match(view.services.find((service) => service.name === "quotes")!.why, /newhw/);
    const history = (await callApi(`127.0.0.1:${server.apiPort}`, "GET", "/v1/history")) as {
      entries: {
        body: {
          kind: string;
          checkpoint?: {
            record: { changeType: string };
            moves: { move: string; detail: { approval?: { kind: string } } }[];
          };
        };
      }[];
    };
    const emergency = history.entries.find(({ body }) => body.checkpoint?.record.changeType === "emergency");
    assert.equal(
      emergency?.body.checkpoint?.moves.find(({ move }) => move === "approve")?.detail.approval?.kind,
      "owed",
    );
  } finally {
    healthy.set("quotes-newhw", true);
    await server.stop();
  }
});

test("a fleet that refuses a set keeps what it has, and status says why", async () => {
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(dir, `store.db${suffix}`), { force: true });
  const server = await serve({ configPath: config, checkAnswers: true, anchorMs: Date.now(), log });
  let refusing = false;
  const filter = new SimulatedFilter({
    port: server.xdsPort,
    fleet: "demo",
    id: "edge-1",
    instance: "b",
    refuseStage: () => (refusing ? "TABLE_DIGEST: for the test" : null),
  }).open();
  try {
    await until("first weights on the filter", () => (filter.activeVersion.startsWith("1-") ? true : null));
    const serving = filter.activeVersion;
    refusing = true;
    const view = await until("a refusal", async () => {
      const now = await status(server);
      return now.notReleased === null ? null : now;
    });
    assert.match(view.notReleased!, /TABLE_DIGEST/);
    assert.equal(filter.activeVersion, serving);
    refusing = false;
    await until("the next try", () => (filter.activeVersion === serving ? null : true));
  } finally {
    filter.close();
    await server.stop();
  }
});

test("a second server on the same store is refused while the first leads", async () => {
  const first = await serve({ configPath: config, checkAnswers: true, anchorMs: Date.now(), log });
  try {
    await assert.rejects(serve({ configPath: config, checkAnswers: true, log }), /STORE_FENCED|PORT_TAKEN/);
  } finally {
    await first.stop();
  }
});

test("a standby takes the lead when the leader stops, and epochs go on under a higher term", async () => {
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(dir, `store.db${suffix}`), { force: true });
  const first = await serve({ configPath: config, anchorMs: Date.now(), log });
  const waiting = new AbortController();
  let second: Serving | null = null;
  const taking = serve({ configPath: config, log, standby: waiting.signal }).then((server) => {
    second = server;
    return server;
  });
  taking.catch(() => undefined);
  try {
    const before = await until("first weights", async () => {
      const view = await status(first);
      return view.epoch > 0 ? view : null;
    });
    assert.equal(second, null, "it waits");
    await first.stop();
    const view = await status(await taking);
    assert.ok(view.epoch >= before.epoch);
    assert.ok(view.term > before.term);
  } finally {
    waiting.abort();
    await first.stop();
    await taking.then(
      (server) => server.stop(),
      () => undefined,
    );
  }
});

test("a reversed relation in the estate is told by the running server", async () => {
  const estate = join(dir, "estate");
  const yaml = join(dir, "reversed.yaml");
  await generateEstate(
    parseOptions([
      "--config",
      "demo/ballast.yaml",
      "--out",
      estate,
      "--config-out",
      yaml,
      "--weeks",
      "2",
      "--reverse-relation",
    ]),
  );
  const settings = parse(await readFile(yaml, "utf8"));
  settings.server = { xds: "127.0.0.1:0", api: "127.0.0.1:0" };
  settings.store.sqlite = join(dir, "reversed.db");
  await writeFile(yaml, stringify(settings));
  const errors: string[] = [];
  const server = await serve({ configPath: yaml, log, onError: (error) => errors.push(error.message) });
  await server.stop();
  assert.ok(errors.some((message) => /RELATION_REVERSED/.test(message)));
});
