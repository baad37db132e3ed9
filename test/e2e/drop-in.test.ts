import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { KILL_SWITCH_KEY, STEER_HEADER } from "../../envoy/demo.ts";
import { Client, countServed } from "./fixture/client.ts";
import { freePorts } from "./fixture/ports.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { Rig } from "./fixture/rig.ts";
import { startUpstreams, type Upstreams } from "./fixture/upstreams.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();

/** The file that users copy, with nothing changed but ports and the path of the module. No control server runs. */
describe("envoy/drop-in.yaml as it is", { skip: requirements.skip, timeout: 60_000 }, () => {
  let rig: Rig;
  let upstreams: Upstreams;
  let client: Client;
  let adminPort = 0;

  before(async () => {
    rig = await Rig.open();
    upstreams = await startUpstreams(rig, { payments: { "payments-site-a": 60, "payments-site-b": 40 } });
    const [siteA, siteB] = upstreams.services[0]!.targets;
    const [listen, admin, control] = (await freePorts(3)) as [number, number, number];
    adminPort = admin;
    let text = await readFile("envoy/drop-in.yaml", "utf8");
    const replacements: [string, string | number][] = [
      ["port_value: 10000", `port_value: ${listen}`],
      ["port_value: 9901", `port_value: ${admin}`],
      ["port_value: 10010", `port_value: ${siteA!.port}`],
      ["port_value: 10011", `port_value: ${siteB!.port}`],
      ["port_value: 18000", `port_value: ${control}`],
      ["/etc/envoy/ballast.wasm", requirements.wasmPath],
    ];
    for (const [from, to] of replacements) {
      assert.equal(text.split(from).length, 2, `${from} occurs once`);
      text = text.replace(from, String(to));
    }
    const path = join(rig.folder, "drop-in.yaml");
    await writeFile(path, text);
    let ended: string | null = null;
    await rig.processes.start({
      name: "envoy",
      file: requirements.envoyPath,
      args: ["-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"],
      onExit: (how) => {
        ended = how;
      },
    });
    client = new Client(rig, listen);
    await until("the drop-in serves", async () => {
      if (ended !== null)
        throw new Error(`Envoy ended (${ended}):\n${await readFile(join(rig.folder, "envoy.log"), "utf8")}`);
      return (await client.ask("payments")).status === 200;
    });
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
