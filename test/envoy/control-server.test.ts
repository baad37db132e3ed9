import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { DiscoveryResponseSchema } from "../../control/xds/proto/discovery_pb.js";
import { TYPE_URL } from "../../control/xds/resources.ts";
import { seededRandom } from "../../demo/random.ts";
import { controlCluster } from "../../envoy/render/clusters.ts";
import { type Answer, Load } from "../e2e/fixture/client.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { Stand } from "./fixture/stand.ts";
import { startTalker, type Wire, type WireMode } from "./fixture/wire.ts";

const requirements = await requireEnvoy();
const { skip } = requirements;

const to = (target: "payments-a" | "payments-b") => ({
  payments: { weights: { "payments-a": 0, "payments-b": 0, [target]: 100 } },
});
const kinds = (answers: readonly Answer[]): string[] => [
  ...new Set(answers.map(({ status, route, servedBy }) => `${status} ${route} ${servedBy}`)),
];

/** A response as the protocol has it, about something that the filter must not believe. */
function response(typeUrl: string, values: readonly Buffer[], nonce = "1"): Buffer {
  const resources = values.map((value) => create(AnySchema, { typeUrl, value }));
  const message = create(DiscoveryResponseSchema, { versionInfo: "9-00000000000000aa", typeUrl, nonce, resources });
  return Buffer.from(toBinary(DiscoveryResponseSchema, message));
}

const random = seededRandom(4);
const noise = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)));
/** More than the filter reads, less than Envoy refuses. */
const HUGE_BYTES = 1 << 20;

/** What a server that lost its mind could say on a stream. */
const NONSENSE: Record<string, () => Buffer[]> = {
  "random bytes": () => Array.from({ length: 50 }, (_, i) => noise(1 + 37 * i)),
  "empty messages": () => Array.from({ length: 50 }, () => Buffer.alloc(0)),
  "types that nobody asked for": () => [response("type.googleapis.com/envoy.config.cluster.v3.Cluster", [noise(64)])],
  "resources of random bytes": () =>
    Object.values(TYPE_URL).flatMap((type) =>
      Array.from({ length: 20 }, (_, i) => response(type, [noise(16 * i)], `${i}`)),
    ),
  "no resources, and too many": () =>
    Object.values(TYPE_URL).flatMap((type) => [
      response(type, []),
      response(
        type,
        Array.from({ length: 200 }, () => noise(8)),
      ),
    ]),
  "messages of a mebibyte": () => Object.values(TYPE_URL).map((type) => response(type, [noise(HUGE_BYTES)])),
};

describe("a control server in trouble, two workers under load", { skip }, () => {
  let stand: Stand;
  let wire: Wire;
  let load: Load;
  let target: "payments-a" | "payments-b" = "payments-a";
  before(async () => {
    stand = await Stand.start({
      requirements,
      routes: { form: "header-route" },
      concurrency: 2,
      subscribed: false,
      wire: true,
    });
    wire = stand.wire!;
    await stand.fleet.connected();
    await stand.fleet.release(to(target));
    await stand.client.askInTurn("payments", 20);
    load = new Load(stand.rig, { port: stand.envoy.port, services: ["payments"], rps: 100 });
  });
  after(() => stand?.close());

  /** Requests go on as the last epoch says. */
  const unmoved = async (): Promise<void> => {
    assert.deepEqual(kinds(await stand.client.askInTurn("payments", 30)), [`200 steered ${target}`]);
  };
  /** The stream comes back by itself and brings the next epoch. */
  const recovers = async (): Promise<void> => {
    await until("the stream is back", () => stand.fleet.xds.fleet.nodes().some((node) => node.connected));
    target = target === "payments-a" ? "payments-b" : "payments-a";
    await stand.fleet.release(to(target));
    await unmoved();
  };

  const troubles: WireMode[] = ["refuse", "silent", "noise"];
  for (const mode of troubles) {
    test(`connections: ${mode}`, async () => {
      const before = wire.connections;
      wire.use(mode);
      await until("Envoy tries", () => wire.connections > before);
      await sleep(1000);
      await unmoved();
      wire.use("forward");
      await recovers();
    });
  }

  test("slow: a third of a second each way", async () => {
    wire.use("slow");
    await until("the stream is back", () => stand.fleet.xds.fleet.nodes().some((node) => node.connected));
    await recovers();
    wire.use("forward");
    await recovers();
  });

  for (const [what, speak] of Object.entries(NONSENSE)) {
    test(`nonsense: ${what}`, async () => {
      const talker = await startTalker(stand.rig, speak);
      wire.use("forward", talker.port);
      await until("the filter listens to it", () => talker.streams() >= 1);
      await sleep(500);
      await unmoved();
      wire.use("forward", stand.fleet.port);
      await recovers();
    });
  }

  test("a connection that froze is given up by its keepalive, and another one is made", async () => {
    const before = wire.connections;
    wire.use("frozen");
    await until("Envoy connects anew", () => wire.connections > before);
    await unmoved();
    wire.use("forward");
    await recovers();
  });

  test("no request failed or left its target's epoch, and no VM trapped", async () => {
    await load.stop();
    assert.deepEqual(load.failed, []);
    assert.deepEqual(
      load.answers.filter(({ route }) => route !== "steered"),
      [],
    );
    assert.deepEqual(await stand.envoy.traps(), []);
  });
});

describe("a control cluster that is missing at start", { skip }, () => {
  let stand: Stand;
  let cdsPath = "";
  const writeCds = async (version: string, resources: object[]): Promise<void> => {
    await writeFile(`${cdsPath}.next`, JSON.stringify({ version_info: version, resources }));
    await rename(`${cdsPath}.next`, cdsPath);
  };
  before(async () => {
    stand = await Stand.start({
      requirements,
      routes: { form: "header-route" },
      subscribed: false,
      edit: async (bootstrap, folder) => {
        cdsPath = join(folder, "cds.json");
        await writeCds("1", []);
        bootstrap.static_resources.clusters.pop();
        const source = { path_config_source: { path: cdsPath }, resource_api_version: "V3" };
        bootstrap.dynamic_resources = { cds_config: source };
      },
    });
  });
  after(() => stand?.close());

  test("leaves every request to the static route", async () => {
    await sleep(1000);
    const answers = await stand.client.askInTurn("payments", 50);
    assert.deepEqual([...new Set(answers.map(({ status, route }) => `${status} ${route}`))], ["200 static"]);
  });

  test("is found when it appears", async () => {
    const type = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    await writeCds("2", [{ "@type": type, ...controlCluster({ host: "127.0.0.1", port: stand.fleet.port }) }]);
    await stand.fleet.connected();
    await stand.fleet.release(to("payments-b"));
    assert.deepEqual(kinds(await stand.client.askInTurn("payments", 30)), ["200 steered payments-b"]);
    assert.deepEqual(await stand.envoy.traps(), []);
  });
});

describe("a bootstrap without a node, and a configuration without fleet and node", { skip }, () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start({
      requirements,
      routes: { form: "header-route" },
      subscribed: false,
      edit: (bootstrap) => {
        delete bootstrap.node;
      },
    });
  });
  after(() => stand?.close());

  test("opens no stream, says so by a gauge, and leaves every request to the static route", async () => {
    await until("the gauge", async () => (await stand.envoy.stat("wasmcustom.ballast.unsubscribed")) === 1);
    assert.equal(stand.fleet.xds.streams(), 0);
    assert.deepEqual(
      [...new Set((await stand.client.askInTurn("payments", 30)).map(({ route }) => route))],
      ["static"],
    );
    assert.deepEqual(await stand.envoy.traps(), []);
  });
});
