import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { BallastError } from "../common/errors.ts";
import { loadConfig } from "../control/config/load-config.ts";
import { planPorts, requireFreePorts } from "./ports.ts";

const config = await loadConfig("demo/ballast.yaml");

test("without a base the server and admin ports are those of ballast.yaml", () => {
  const ports = planPorts(config, null);
  assert.equal(ports.listen, 10_000);
  assert.equal(ports.admin, Number(new URL(config.envoy.admin[0]!).port));
  assert.deepEqual(ports.xds, config.server.xds);
});

test("with a base nothing is left where another demo would be", () => {
  const plan = (base: number): number[] => {
    const { listen, admin, xds, api, targets } = planPorts(config, base);
    return [listen, admin, xds.port, api.port, ...targets.values()];
  };
  const both = [...plan(20_000), ...plan(20_100)];
  assert.equal(new Set(both).size, both.length);
});

test("a base that leaves no room below 65,536 is refused", () => {
  assert.throws(() => planPorts(config, 65_530), /USAGE: --port-base 65530/);
});

test("a taken port is reported with its number, who wanted it and what to change", async () => {
  const squatter = createServer();
  squatter.listen(0, "127.0.0.1");
  await once(squatter, "listening");
  const { port } = squatter.address() as { port: number };
  try {
    const free = { host: "127.0.0.1", port: 0 };
    const ports = { listen: 0, admin: port, xds: free, api: free, targets: new Map<string, number>() };
    await assert.rejects(requireFreePorts(ports, config), (thrown) => {
      assert.ok(thrown instanceof BallastError);
      assert.equal(thrown.code, "PORT_TAKEN");
      assert.match(thrown.message, new RegExp(`127.0.0.1:${port} for Envoy's admin endpoint is in use`));
      assert.match(thrown.hint, /envoy\.admin in demo\/ballast\.yaml.*--port-base/);
      return true;
    });
  } finally {
    squatter.close();
  }
});
