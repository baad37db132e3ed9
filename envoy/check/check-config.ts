import { KILL_SWITCH_KEY, STEER_HEADER } from "../render/names.ts";
import { clusterOf } from "../render/values.ts";
import { findAll, type Json, type Plugin, readPlugin, walk } from "./find.ts";

/** Something in an Envoy configuration that would keep Ballast from working, or from being safe. */
export interface ConfigFinding {
  severity: "error" | "warning";
  code:
    | "NO_FILTER"
    | "VM_CLASH"
    | "FAILURE_POLICY"
    | "CONTROL_CLUSTER_MISSING"
    | "HEADER_NOT_STRIPPED"
    | "NO_KILL_SWITCH"
    | "RUNTIME_READ_ONLY"
    | "VALUES_MISMATCH";
  text: string;
}

/**
 * Checks a bootstrap, or the answer of the admin endpoint's /config_dump, as parsed JSON or YAML. Looks at what is there: a
 * configuration that Envoy fetches later is seen in the dump of the running Envoy only.
 */
export function checkConfig(config: Json): ConfigFinding[] {
  const findings: ConfigFinding[] = [];
  const say = (severity: ConfigFinding["severity"], code: ConfigFinding["code"], text: string): void => {
    if (!findings.some((known) => known.text === text)) findings.push({ severity, code, text });
  };
  const plugins = findAll(config, "wasm.v3.Wasm").flatMap((wasm) => readPlugin(wasm) ?? []);
  if (plugins.length === 0) {
    say("error", "NO_FILTER", "no Wasm filter with a Ballast configuration is there");
    return findings;
  }
  checkClash(plugins, say);
  const clusters = clusterNames(config);
  for (const plugin of plugins) {
    if (plugin.failurePolicy !== "FAIL_RELOAD") {
      const is = plugin.failurePolicy ?? "absent";
      say(
        "error",
        "FAILURE_POLICY",
        `failure_policy of vm_id ${plugin.vmId} is ${is}: only FAIL_RELOAD brings a VM back`,
      );
    }
    const cluster = String(plugin.settings.control_cluster);
    if (!clusters.has(cluster)) {
      say(
        "warning",
        "CONTROL_CLUSTER_MISSING",
        `there is no cluster ${cluster}: the filter subscribes when it appears`,
      );
    }
  }
  const headers = new Set(plugins.map(({ settings }) => String(settings.steer_header ?? STEER_HEADER).toLowerCase()));
  checkStripping(config, headers, say);
  checkKillSwitch(config, say);
  for (const plugin of plugins) checkValues(config, plugin, say);
  return findings;
}

type Say = (severity: ConfigFinding["severity"], code: ConfigFinding["code"], text: string) => void;

function checkClash(plugins: readonly Plugin[], say: Say): void {
  const first = new Map<string, Plugin>();
  for (const plugin of plugins) {
    const other = first.get(plugin.vmId);
    if (other === undefined) first.set(plugin.vmId, plugin);
    else if (canonical(other.settings) !== canonical(plugin.settings)) {
      const fields = [...new Set([...Object.keys(other.settings), ...Object.keys(plugin.settings)])].filter(
        (field) => canonical(other.settings[field]) !== canonical(plugin.settings[field]),
      );
      say(
        "error",
        "VM_CLASH",
        `two filters in vm_id "${plugin.vmId}" differ in ${fields.join(", ")}: under two plugin names the second is refused, under one the newest serves the requests of both; give one of them another vm_id`,
      );
    }
  }
}

function checkStripping(config: Json, headers: ReadonlySet<string>, say: Say): void {
  for (const manager of findAll(config, "HttpConnectionManager")) {
    const usesFilter = findAll(manager, "wasm.v3.Wasm").some((wasm) => readPlugin(wasm) !== undefined);
    const named = String(manager.stat_prefix);
    const removed = new Set<string>();
    walk(manager.early_header_mutation_extensions, (node) => {
      if (typeof node.remove === "string") removed.add(node.remove.toLowerCase());
    });
    for (const header of headers) {
      const routed = JSON.stringify(manager.route_config ?? null)
        .toLowerCase()
        .includes(`"${header}"`);
      if ((usesFilter || routed) && !removed.has(header)) {
        say(
          "error",
          "HEADER_NOT_STRIPPED",
          `the connection manager ${named} does not remove ${header} in early_header_mutation_extensions: clients could choose their own target`,
        );
      }
    }
  }
}

function checkKillSwitch(config: Json, say: Say): void {
  let isThere = false;
  let canBeWritten = false;
  walk(config, (node) => {
    const { runtime_fraction: fraction } = node as { runtime_fraction?: Json };
    if (fraction?.runtime_key === KILL_SWITCH_KEY) isThere = true;
    if ("admin_layer" in node || "rtds_layer" in node || "disk_layer" in node) canBeWritten = true;
  });
  if (!isThere)
    say(
      "warning",
      "NO_KILL_SWITCH",
      `no route has the runtime key ${KILL_SWITCH_KEY}: Ballast cannot be switched off here`,
    );
  else if (!canBeWritten) {
    say(
      "warning",
      "RUNTIME_READ_ONLY",
      "no runtime layer can be written (admin, disk or RTDS): the kill switch cannot be pulled",
    );
  }
}

/** A changed weight moves the intervals of the form header_name without a word from Envoy. */
function checkValues(config: Json, { settings }: Plugin, say: Say): void {
  const values = settings.values as Record<string, Record<string, string>> | undefined;
  const header = String(settings.steer_header ?? STEER_HEADER).toLowerCase();
  walk(config, (route) => {
    const { weighted_clusters: weighted } = (route.route ?? {}) as { weighted_clusters?: Json };
    if (String(weighted?.header_name ?? "").toLowerCase() !== header) return;
    const service = String(
      settings.service_from !== "route_name" && typeof settings.service_from === "object"
        ? ((settings.service_from as Json).fixed ?? route.name)
        : route.name,
    );
    const targets = (weighted!.clusters as Json[]).map((entry) => ({
      name: String(entry.name),
      weight: Number(entry.weight ?? 0),
    }));
    if (weighted!.runtime_key_prefix !== undefined) {
      say(
        "error",
        "VALUES_MISMATCH",
        `route ${service} has a runtime_key_prefix: its weights, and so the meaning of values, can change`,
      );
    }
    for (const [i, { name, weight }] of targets.entries()) {
      const value = values?.[service]?.[name];
      if (value === undefined)
        say("error", "VALUES_MISMATCH", `route ${service} takes a value by ${header}, but values has none for ${name}`);
      else if (weight < 1)
        say("error", "VALUES_MISMATCH", `route ${service}: ${name} has weight 0 and cannot be picked`);
      else if (clusterOf(targets, Number(value)) !== i) {
        const picked = targets[clusterOf(targets, Number(value))]?.name;
        say(
          "error",
          "VALUES_MISMATCH",
          `route ${service}: the value ${value} of ${name} picks ${picked}; print the snippet anew`,
        );
      }
    }
  });
}

function clusterNames(config: Json): Set<string> {
  const names = new Set(findAll(config, "envoy.config.cluster.v3.Cluster").map(({ name }) => String(name)));
  walk(config, (node) => {
    for (const cluster of (node.static_resources as { clusters?: Json[] } | undefined)?.clusters ?? [])
      names.add(String(cluster.name));
  });
  return names;
}

/** JSON with the keys of every object in order, so that equal settings are equal texts. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, inner) =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? ""
  );
}
