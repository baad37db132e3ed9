import { explain } from "./explained.ts";
import { CONTROL_CLUSTER, FILTER_NAME, type Json, STEER_HEADER, TYPE } from "./names.ts";

/** Where the filter finds the service of a request. */
export type ServiceFrom = "route_name" | { header: string } | { fixed: string };
/** Where it finds the session's key. */
export type SessionFrom = { cookie: string } | { header: string };

export interface FilterOptions {
  /** The module, as Envoy's machine sees it. */
  wasmPath: string;
  /** Default route_name. */
  serviceFrom?: ServiceFrom;
  /** Absent: nothing is sticky, requests are spread in exact proportion. */
  sessionFrom?: SessionFrom;
  /** Service → target → value to write in place of the target's name; the form header_name needs it. */
  values?: Record<string, Record<string, string>>;
  /** Name of the debug header; absent: none is looked for. */
  debugHeader?: string;
  /** By which the filter tells an update of itself from another one in its vm_id. Default "ballast", and the listener's name if it has one. */
  pluginName?: string;
  /** One per configuration: two filters that differ share no VM. */
  vmId?: string;
  controlCluster?: string;
  /** Instead of node.cluster and node.id of the bootstrap. */
  fleet?: string;
  node?: string;
}

/** The plugin configuration, as docs/reference/filter.md describes it. */
export function pluginConfiguration(options: FilterOptions): Json {
  return {
    control_cluster: options.controlCluster ?? CONTROL_CLUSTER,
    ...(options.fleet === undefined ? {} : { fleet: options.fleet }),
    ...(options.node === undefined ? {} : { node: options.node }),
    service_from: options.serviceFrom ?? "route_name",
    steer_header: STEER_HEADER,
    ...(options.sessionFrom === undefined ? {} : { session_from: options.sessionFrom }),
    ...(options.values === undefined ? {} : { values: options.values }),
    ...(options.debugHeader === undefined ? {} : { debug_header: options.debugHeader }),
  };
}

/** The filter's typed configuration: what stands in the filter chain, or in the file that ECDS reads. */
export function wasmPlugin(options: FilterOptions): Json {
  const code = { local: { filename: options.wasmPath } };
  return {
    "@type": `${TYPE}.extensions.filters.http.wasm.v3.Wasm`,
    config: explain(
      {
        name: options.pluginName ?? FILTER_NAME,
        failure_policy: "FAIL_RELOAD",
        vm_config: explain(
          { vm_id: options.vmId ?? "ballast", runtime: "envoy.wasm.runtime.v8", code },
          {
            vm_id:
              "One configuration per VM: a second filter with other settings needs another vm_id, or it is refused.",
          },
        ),
        configuration: {
          "@type": "type.googleapis.com/google.protobuf.StringValue",
          value: JSON.stringify(pluginConfiguration(options), null, 2),
        },
      },
      {
        name: "With other settings under this name the filter is updated; under another name it is a second filter.",
        failure_policy: "After a fault the VM is loaded anew and takes its weights from Envoy's memory.",
        configuration: "Every field is in docs/reference/filter.md.",
      },
    ),
  };
}

const PLACE =
  "[ballast] The filter. Place it after filters that reject requests and before those that depend on the route\n" +
  "(RBAC, ext_authz, rate limits by route): writing the header makes Envoy choose the route once more.";

/** The entry of the filter chain, with the plugin in place. */
export function filterEntry(options: FilterOptions): Json {
  return explain({ name: FILTER_NAME, typed_config: wasmPlugin(options) }, { name: PLACE });
}

/** The entry of the filter chain, with the plugin read from a file by ECDS; `fallback` serves while that file is missing or wrong. */
export function discoveredFilterEntry(path: string, fallback?: FilterOptions): Json {
  return explain(
    {
      name: FILTER_NAME,
      config_discovery: explain(
        {
          config_source: { path_config_source: { path }, resource_api_version: "V3" },
          type_urls: [`${TYPE}.extensions.filters.http.wasm.v3.Wasm`],
          ...(fallback === undefined ? {} : { default_config: wasmPlugin(fallback) }),
        },
        {
          config_source: "Any config source of Envoy's does: this file, or your own control plane (ads).",
          default_config: "Without it Envoy answers 500 to everything until the first good configuration is there.",
        },
      ),
    },
    { name: PLACE },
  );
}

/** The answer that a file of ECDS holds. */
export function ecdsResponse(options: FilterOptions, version: string): Json {
  const resource = {
    "@type": `${TYPE}.config.core.v3.TypedExtensionConfig`,
    name: FILTER_NAME,
    typed_config: wasmPlugin(options),
  };
  return { version_info: version, resources: [resource] };
}
