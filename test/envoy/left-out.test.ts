import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import { encodeTable } from "../../control/table/codec.ts";
import { makeSet } from "../../control/table/set.ts";
import { STEER_HEADER } from "../../envoy/demo.ts";
import { countServed } from "../e2e/fixture/client.ts";
import type { Json } from "../e2e/fixture/envoy.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { SLOTS, Stand } from "./fixture/stand.ts";

const requirements = await requireEnvoy();
const { skip } = requirements;

/** The user's own route leads to payments-a alone, a second one has a name that no service has; the page's tags are configured. */
async function edit(bootstrap: Json): Promise<void> {
  bootstrap.stats_config = await documentedTags();
  for (const listener of bootstrap.static_resources.listeners) {
    const manager = listener.filter_chains[0].filters[0].typed_config;
    const [host] = manager.route_config.virtual_hosts;
    for (const { route } of host.routes) {
      if (route.weighted_clusters === undefined) continue;
      delete route.weighted_clusters;
      route.cluster = "payments-a";
    }
    host.routes.push({ name: "paymnets.eu", match: { prefix: "/mistyped" }, route: { cluster: "payments-a" } });
  }
}

/** As a user copies them out of the page. */
async function documentedTags(): Promise<Json> {
  const page = await readFile(join(import.meta.dirname, "../../docs/reference/filter.md"), "utf8");
  const block = /^ {4}stats_config:\n(?: {4,}.*\n)+/m.exec(page)?.[0];
  assert.ok(block, "the page has no stats_config");
  return parse(block).stats_config;
}

describe("a target that the route leads to by itself is not written", { skip }, () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start({
      requirements,
      routes: { form: "header-route" },
      filter: { values: { payments: { "payments-a": "" } }, debugHeader: "x-ballast-debug" },
      edit,
    });
    await stand.fleet.release({ payments: { weights: { "payments-a": 75, "payments-b": 25 } } });
  });
  after(() => stand?.close());

  test("the split is exact, and only the other target's requests take the steered route", async () => {
    const answers = await stand.client.askInTurn("payments", SLOTS);
    assert.deepEqual(countServed(answers), { "payments-a": 192, "payments-b": 64 });
    for (const { cluster, route, status } of answers) {
      assert.equal(status, 200);
      assert.equal(route, cluster === "payments-a" ? "static" : "steered");
    }
  });

  test("a client that writes the header itself changes nothing", async () => {
    const answers = await stand.client.askInTurn("payments", SLOTS, { [STEER_HEADER]: "payments-b" });
    assert.deepEqual(countServed(answers), { "payments-a": 192, "payments-b": 64 });
  });

  test("counters tell what was picked and what was left", async () => {
    await until("the counters are flushed", async () => {
      const stats = await stand.envoy.stats("ballast.requests");
      return stats.get("wasmcustom.ballast.requests_steered") === 2 * SLOTS;
    });
    assert.equal(await stand.envoy.stat("wasmcustom.ballast.requests_unwritten"), 2 * 192);
  });

  test("with the documented tags, Prometheus sees the mistyped route and the refused table as labels", async () => {
    await stand.client.askInTurn("mistyped", 3);
    const bad = encodeTable(stand.fleet.tables.get("payments")!.table);
    const bytes = bad.bytes.slice();
    bytes[bytes.length - 1]! ^= 3;
    const refused = await stand.fleet.stage(makeSet([{ ...bad, bytes, digest: bad.digest + 1n }]));
    assert.equal(refused.ok, false);
    await until("the counters are flushed", async () =>
      (await stand.envoy.admin("/stats/prometheus?filter=ballast")).includes("ballast_reason"),
    );
    const lines = (await stand.envoy.admin("/stats/prometheus?filter=ballast")).split("\n");
    const starting = (name: string): string[] => lines.filter((line) => line.startsWith(`${name}{`));
    assert.deepEqual(starting("ballast_without_table"), ['ballast_without_table{ballast_route="paymnets.eu"} 3']);
    assert.deepEqual(starting("ballast_refused"), ['ballast_refused{ballast_reason="TABLE_DIGEST"} 1']);
    assert.match(lines.join("\n"), /^ballast_requests_without_table\{\} 3$/m);
    assert.match(lines.join("\n"), /^ballast_set_age_seconds\{\} \d+$/m);
  });
});
