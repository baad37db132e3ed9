import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";

import { KILL_SWITCH_KEY, STEER_HEADER } from "../../envoy/demo.ts";
import { Client, countServed } from "./fixture/client.ts";
import { editFilterConfig, FLEET } from "./fixture/envoy.ts";
import { TestFleet } from "./fixture/fleet.ts";
import { freePorts } from "./fixture/ports.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { Rig } from "./fixture/rig.ts";
import { startUpstreams, type Upstreams } from "./fixture/upstreams.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();

interface DropIn {
  client: Client;
  adminPort: number;
}

/** The file that users copy, with other ports and the path of the module, and what `edit` makes of it. */
async function startDropIn(
  rig: Rig,
  upstreams: Upstreams,
  controlPort: number,
  edit: (text: string) => string = (text) => text,
): Promise<DropIn> {
  const [siteA, siteB] = upstreams.services[0]!.targets;
  const [listen, adminPort] = (await freePorts(2)) as [number, number];
  let text = await readFile("envoy/drop-in.yaml", "utf8");
  const replacements: [string, string | number][] = [
    ["port_value: 10000", `port_value: ${listen}`],
    ["port_value: 9901", `port_value: ${adminPort}`],
    ["port_value: 10010", `port_value: ${siteA!.port}`],
    ["port_value: 10011", `port_value: ${siteB!.port}`],
    ["port_value: 18000", `port_value: ${controlPort}`],
    ["/etc/envoy/ballast.wasm", requirements.wasmPath],
  ];
  for (const [from, to] of replacements) {
    assert.equal(text.split(from).length, 2, `${from} occurs once`);
    text = text.replace(from, String(to));
  }
  const path = join(rig.folder, "drop-in.yaml");
  await writeFile(path, edit(text));
  let ended: string | null = null;
  await rig.processes.start({
    name: "envoy",
    file: requirements.envoyPath,
    args: ["-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"],
    onExit: (how) => {
      ended = how;
    },
  });
  const client = new Client(rig, listen);
  await until("the drop-in serves", async () => {
    if (ended !== null)
      throw new Error(`Envoy ended (${ended}):\n${await readFile(join(rig.folder, "envoy.log"), "utf8")}`);
    return (await client.ask("payments")).status === 200;
  });
  return { client, adminPort };
}

describe("envoy/drop-in.yaml as it is, without a control server", { skip: requirements.skip, timeout: 60_000 }, () => {
  let rig: Rig;
  let upstreams: Upstreams;
  let client: Client;
  let adminPort = 0;

  before(async () => {
    rig = await Rig.open();
    upstreams = await startUpstreams(rig, { payments: { "payments-site-a": 60, "payments-site-b": 40 } });
    const [control] = (await freePorts(1)) as [number];
    ({ client, adminPort } = await startDropIn(rig, upstreams, control));
  });
  after(() => rig?.close());

  const served = async (headers = {}): Promise<Record<string, number>> =>
    countServed(await client.askInTurn("payments", 200, headers));

  test("without a control server the static weights answer", async () => {
    const counts = await served();
    // 200 random picks at 60 %: the standard deviation is 7.
    assert.ok(Math.abs(counts["payments-site-a"]! - 120) <= 40, JSON.stringify(counts));
    assert.equal(counts["payments-site-a"]! + counts["payments-site-b"]!, 200);
  });

  test("a client that sends the steering header changes nothing, with the kill switch off and on", async () => {
    for (const percent of [0, 100]) {
      const set = await fetch(`http://127.0.0.1:${adminPort}/runtime_modify?${KILL_SWITCH_KEY}=${percent}`, {
        method: "POST",
      });
      assert.equal(set.status, 200);
      for (const target of ["payments-site-b", "ballast_control", "nowhere"]) {
        const counts = await served({ [STEER_HEADER]: target });
        assert.ok(counts["payments-site-a"]! > 60, `${target} at ${percent}: ${JSON.stringify(counts)}`);
        assert.equal(counts["payments-site-a"]! + counts["payments-site-b"]!, 200);
      }
    }
    assert.equal(upstreams.leaked, 0);
  });
});

const BASE = { payments: { "payments-site-a": 600_000, "payments-site-b": 400_000 } };

describe("envoy/drop-in.yaml without its optional parts, fleet and node in the filter's configuration", {
  skip: requirements.skip,
  timeout: 60_000,
}, () => {
  let rig: Rig;
  let fleet: TestFleet;
  let dropIn: DropIn;

  before(async () => {
    rig = await Rig.open();
    const upstreams = await startUpstreams(rig, BASE);
    fleet = await TestFleet.start(rig, BASE, 256);
    dropIn = await startDropIn(rig, upstreams, fleet.port, (text) => {
      const { node: _, stats_flush_interval: __, layered_runtime: ___, ...yours } = parse(text);
      assert.deepEqual(Object.keys(yours).sort(), ["admin", "static_resources"]);
      editFilterConfig(yours.static_resources.listeners[0], (config) =>
        Object.assign(config, { fleet: FLEET, node: "edge-7" }),
      );
      return JSON.stringify(yours);
    });
    await fleet.connected();
  });
  after(() => rig?.close());

  test("it subscribes under that name and steers exactly", async () => {
    assert.deepEqual(
      fleet.xds.fleet.nodes().map(({ id }) => id),
      ["edge-7"],
    );
    for (const a of [25, 75]) {
      await fleet.release({ payments: { weights: { "payments-site-a": a, "payments-site-b": 100 - a } } });
      const counts = countServed(await dropIn.client.askInTurn("payments", 256));
      assert.deepEqual(counts, { "payments-site-a": (256 * a) / 100, "payments-site-b": (256 * (100 - a)) / 100 });
    }
  });

  test("its own kill switch cannot be pulled, the fleet's can", async () => {
    const url = `http://127.0.0.1:${dropIn.adminPort}/runtime_modify?${KILL_SWITCH_KEY}=100`;
    const set = await fetch(url, { method: "POST" });
    assert.equal(set.status, 503);
    await fleet.release({ payments: { weights: { "payments-site-a": 0, "payments-site-b": 100 } } }, "passthrough");
    // 50 random picks at 60 %, all at the other target: once in 10^20.
    assert.ok(countServed(await dropIn.client.askInTurn("payments", 50))["payments-site-a"]! > 0);
  });
});
