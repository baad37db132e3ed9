import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { committedFiles } from "../render/files.ts";
import { checkConfig } from "./check-config.ts";
import type { Json } from "./find.ts";

const files = committedFiles();
// biome-ignore lint/suspicious/noExplicitAny: a configuration is changed here and there as a user would do it in an editor.
const load = (name: string): any => parse(files.get(name)!);
const codes = (config: Json): string[] => checkConfig(config).map(({ severity, code }) => `${severity} ${code}`);
// biome-ignore lint/suspicious/noExplicitAny: as above
const managerOf = (config: any): any => config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
// biome-ignore lint/suspicious/noExplicitAny: as above
const pluginOf = (config: any): any =>
  managerOf(config).http_filters.find((f: Json) => f.name === "ballast").typed_config.config;

test("nothing is found in any committed configuration", () => {
  for (const name of files.keys()) {
    // Its filter stands in the other file, so this one alone cannot be judged.
    if (name !== "ecds-filter.yaml" && name !== "ecds.yaml") assert.deepEqual(checkConfig(load(name)), [], name);
  }
});

test("two configurations under one vm_id are an error that names what differs", () => {
  const config = load("drop-in.yaml");
  const second = structuredClone(config.static_resources.listeners[0]);
  config.static_resources.listeners.push(second);
  assert.deepEqual(codes(config), [], "equal configurations share a VM");
  const plugin = second.filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config;
  plugin.configuration.value = JSON.stringify({ ...JSON.parse(plugin.configuration.value), fleet: "other" });
  const [finding] = checkConfig(config);
  assert.equal(finding?.code, "VM_CLASH");
  assert.match(finding!.text, /vm_id "ballast" differ in fleet/);
  plugin.vm_config.vm_id = "ballast-other";
  assert.deepEqual(codes(config), []);
});

test("a header that clients could set is an error", () => {
  const config = load("drop-in.yaml");
  delete managerOf(config).early_header_mutation_extensions;
  assert.deepEqual(codes(config), ["error HEADER_NOT_STRIPPED"]);
});

test("weights that were changed after the values were made are an error that says what would be picked", () => {
  const config = load("header-name.yaml");
  const routes: Json[] = managerOf(config).route_config.virtual_hosts[0].routes;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const clusters = (routes.at(-1) as any).route.weighted_clusters.clusters;
  clusters[0].weight = 10;
  clusters[1].weight = 90;
  assert.deepEqual(codes(config), []);
  clusters.reverse();
  const [finding] = checkConfig(config);
  assert.equal(finding?.code, "VALUES_MISMATCH");
  assert.match(finding!.text, /picks payments-site-b/);
});

test("what else would fail late", () => {
  const noSwitch = load("drop-in.yaml");
  managerOf(noSwitch).route_config.virtual_hosts[0].routes.shift();
  assert.deepEqual(codes(noSwitch), ["warning NO_KILL_SWITCH"]);
  const readOnly = load("drop-in.yaml");
  delete readOnly.layered_runtime;
  assert.deepEqual(codes(readOnly), ["warning RUNTIME_READ_ONLY"]);
  const failClosed = load("drop-in.yaml");
  delete pluginOf(failClosed).failure_policy;
  assert.deepEqual(codes(failClosed), ["error FAILURE_POLICY"]);
  const noCluster = load("drop-in.yaml");
  noCluster.static_resources.clusters.pop();
  assert.deepEqual(codes(noCluster), ["warning CONTROL_CLUSTER_MISSING"]);
  assert.deepEqual(codes({}), ["error NO_FILTER"]);
});
