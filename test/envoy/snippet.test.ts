import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { BallastError } from "../../common/errors.ts";
import { run } from "../../control/cli/envoy.ts";
import { checkConfig } from "../../envoy/check/check-config.ts";
import { targetCluster } from "../../envoy/render/clusters.ts";
import { TYPE } from "../../envoy/render/names.ts";
import { runTool } from "../../scripts/lib/run-tool.ts";
import type { Json } from "../e2e/fixture/envoy.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";

const requirements = await requireEnvoy();

async function ballast(...args: string[]): Promise<{ exit: number; out: string }> {
  const lines: string[] = [];
  const exit = await run(args, { out: (text) => lines.push(text), err: () => {}, color: false });
  return { exit, out: lines.join("\n") };
}

/** What a user does with the documents: each goes to the place that its heading names. */
async function paste(...flags: string[]): Promise<Json> {
  const { exit, out } = await ballast("snippet", ...flags);
  assert.equal(exit, 0);
  const [bootstrap, cluster, manager, routeConfig, virtualHost] = parseAllDocuments(out).map((document) => {
    assert.deepEqual((document as { errors: unknown[] }).errors, []);
    return (document as { toJS(): Json }).toJS();
  });
  const hcm = {
    "@type": `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "mine",
    ...manager,
    route_config: { ...routeConfig, virtual_hosts: [{ name: "mine", domains: ["*"], ...virtualHost }] },
    http_filters: [
      ...manager.http_filters,
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": `${TYPE}.extensions.filters.http.router.v3.Router` },
      },
    ],
  };
  const names = new Set(JSON.stringify(hcm).match(/"(?:payments|quotes|ledger)-(?:site-[ab]|newhw)"/g));
  return {
    ...bootstrap,
    node: { id: "edge-1", cluster: "demo" },
    static_resources: {
      listeners: [
        {
          name: "mine",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [{ filters: [{ name: "hcm", typed_config: hcm }] }],
        },
      ],
      clusters: [
        ...cluster.clusters,
        ...[...names].map((name) => targetCluster(JSON.parse(name), { host: "127.0.0.1", port: 1 })),
      ],
    },
  };
}

describe("what `ballast envoy snippet` prints", { skip: requirements.skip }, () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ballast-snippet-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const WASM = ["--wasm", requirements.wasmPath];
  const CASES: string[][] = [
    ["--service", "payments"],
    ["--service", "payments", "--service", "quotes", "--service", "ledger", "--form", "exact-routes"],
    ["--service", "quotes", "--service", "payments", "--form", "header-name", "--retry-elsewhere"],
    ["--service", "payments", "--form", "header-name", "--issue-sessions"],
    ["--service", "payments", "--issue-sessions", "--session", "cookie:JSESSIONID"],
    ["--service", "quotes", "--service-from", "header:x-service", "--session", "header:x-session-id"],
    ["--service", "quotes", "--service-from", "fixed", "--session", "none"],
  ];
  for (const flags of CASES) {
    test(`is accepted by Envoy and by the check: ${flags.join(" ")}`, async () => {
      const config = await paste(...flags, ...WASM);
      assert.deepEqual(checkConfig(config), []);
      const path = join(folder, "envoy.json");
      await writeFile(path, JSON.stringify(config));
      const args = ["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "-c", path];
      const { exitCode, output } = await runTool(requirements.envoyPath, args, { env: process.env, timeoutMs: 30_000 });
      assert.equal(exitCode, 0, output);
    });
  }

  test("brings the file of ECDS where that was asked for", async () => {
    const { out } = await ballast("snippet", "--service", "payments", "--ecds", "/etc/envoy/ballast-filter.yaml");
    const documents = parseAllDocuments(out);
    assert.equal(documents.length, 6);
    assert.match(out, /# The file \/etc\/envoy\/ballast-filter.yaml\./);
  });
});

test("flags that do not fit are refused with what to do", async () => {
  const refused: [string[], RegExp][] = [
    [["snippet"], /needs --service/],
    [["snippet", "--service", "paymnts"], /did you mean payments/],
    [["snippet", "--service", "quotes", "--retry-elsewhere"], /only header-name can/],
    [["snippet", "--service", "quotes", "--issue-sessions"], /needs --session cookie/],
    [["snippet", "--service", "quotes", "--service", "ledger", "--service-from", "fixed"], /one --service/],
    [["snippet", "--service", "quotes", "--session", "sid"], /expected cookie:NAME/],
    [["snippet", "--service", "quotes", "--form", "lua"], /expected header-route/],
    [["lint"], /expected snippet or check/],
  ];
  for (const [args, text] of refused) {
    await assert.rejects(ballast(...args), (thrown) => {
      assert.ok(thrown instanceof BallastError);
      assert.equal(thrown.code, "USAGE");
      assert.match(thrown.message, text);
      return true;
    });
  }
});

test("`ballast envoy check` judges a file and the binary", { skip: requirements.skip }, async () => {
  const good = await ballast("check", "envoy/drop-in.yaml", "--envoy", requirements.envoyPath);
  assert.equal(good.exit, 0, good.out);
  assert.match(good.out, /Envoy 1\.\d+\.\d+ with V8/);
  assert.match(good.out, /nothing to mend/);
  const bad = await ballast("check", "demo/ballast.yaml", "--json");
  assert.equal(bad.exit, 1);
  assert.equal(JSON.parse(bad.out).findings[0].code, "NO_FILTER");
});
