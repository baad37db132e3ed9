/** Envoy configuration of one row: a listener of its own in the one Envoy under test, so that rows differ in nothing else. */

/** `direct`: Envoy answers itself, so a filter's own cost stands out. `forward`: over a real connection to an upstream. */
export type Mode = "direct" | "forward";

export const STEER_HEADER = "x-ballast-target";
export const SERVICE = "payments";
/** 70/30 in 1,024 slots. The names are Envoy clusters. */
export const TARGETS = [
  { cluster: "payments_a", slots: 717 },
  { cluster: "payments_b", slots: 307 },
] as const;

const API = "type.googleapis.com/envoy";

/** How requests find their cluster once the filters have run. */
export type Steering =
  | "none"
  /** By the header; without it by Envoy's own weights. */
  | "header"
  /** By the header; without it to the first target. */
  | "header_or_first"
  | { route: object };

export interface ListenerParts {
  name: string;
  port: number;
  mode: Mode;
  steering: Steering;
  filters: readonly object[];
  /** Strips the client's own copy of the steering header, as the drop-in configuration does. */
  strip?: boolean;
}

/** A listener on loopback with the given routes for every host. */
export function httpListener(parts: {
  name: string;
  port: number;
  routes: readonly object[];
  filters: readonly object[];
  strip?: boolean;
}): object {
  const strip = {
    name: "strip",
    typed_config: {
      "@type": `${API}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation`,
      mutations: [{ remove: STEER_HEADER }],
    },
  };
  return {
    name: parts.name,
    address: { socket_address: { address: "127.0.0.1", port_value: parts.port } },
    filter_chains: [
      {
        filters: [
          {
            name: "hcm",
            typed_config: {
              "@type": `${API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: "bench",
              ...(parts.strip ? { early_header_mutation_extensions: [strip] } : {}),
              route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: parts.routes }] },
              http_filters: [
                ...parts.filters,
                { name: "router", typed_config: { "@type": `${API}.extensions.filters.http.router.v3.Router` } },
              ],
            },
          },
        ],
      },
    ],
  };
}

export function listener(parts: ListenerParts): object {
  return httpListener({ ...parts, routes: routes(parts) });
}

function routes({ mode, steering }: ListenerParts): object[] {
  const answer = { direct_response: { status: 200, body: { inline_string: "ok" } } };
  const anything = { prefix: "/" };
  const plain = { route: { cluster: TARGETS[0].cluster } };
  if (steering === "none") return [{ name: SERVICE, match: anything, ...(mode === "direct" ? answer : plain) }];
  if (typeof steering === "object") return [{ name: SERVICE, match: anything, route: steering.route }];
  const steered = mode === "direct" ? answer : { route: { cluster_header: STEER_HEADER } };
  return [
    {
      name: `${SERVICE}_steered`,
      match: { ...anything, headers: [{ name: STEER_HEADER, present_match: true }] },
      ...steered,
    },
    {
      name: SERVICE,
      match: anything,
      ...(mode === "direct" ? answer : steering === "header" ? { route: WEIGHTED } : plain),
    },
  ];
}

/** Envoy's own split by a random number per request. */
export const WEIGHTED = {
  weighted_clusters: { clusters: TARGETS.map(({ cluster, slots }) => ({ name: cluster, weight: slots })) },
};

/** Envoy's own split by the hash of the session cookie. */
export const HASHED = {
  weighted_clusters: { ...WEIGHTED.weighted_clusters, use_hash_policy: true },
  hash_policy: [{ cookie: { name: "sid" } }],
};

/** A cluster specifier in a shared object, found as libsteer.so on ENVOY_DYNAMIC_MODULES_SEARCH_PATH (Envoy 1.40). */
export function dynamicModule(configuration: string): object {
  return {
    inline_cluster_specifier_plugin: {
      extension: {
        name: "steer",
        typed_config: {
          "@type": `${API}.extensions.router.cluster_specifiers.dynamic_modules.v3.DynamicModuleClusterSpecifier`,
          dynamic_module_config: { name: "steer" },
          specifier_name: "steer",
          specifier_config: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: configuration },
        },
      },
    },
  };
}

export function wasmFilter(options: {
  vmId: string;
  path: string;
  rootId?: string;
  configuration: string;
  failurePolicy?: string;
}): object {
  return {
    name: options.vmId,
    typed_config: {
      "@type": `${API}.extensions.filters.http.wasm.v3.Wasm`,
      config: {
        name: options.vmId,
        root_id: options.rootId ?? "steer",
        failure_policy: options.failurePolicy ?? "FAIL_CLOSED",
        configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: options.configuration },
        vm_config: {
          vm_id: options.vmId,
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: options.path } },
        },
      },
    },
  };
}

export function luaFilter(source: string): object {
  return {
    name: "lua",
    typed_config: {
      "@type": `${API}.extensions.filters.http.lua.v3.Lua`,
      default_source_code: { inline_string: source },
    },
  };
}

/** Only request headers are sent to the service, and of those only the two that the pick needs. */
export function extProcFilter(cluster: string): object {
  return {
    name: "ext_proc",
    typed_config: {
      "@type": `${API}.extensions.filters.http.ext_proc.v3.ExternalProcessor`,
      grpc_service: { envoy_grpc: { cluster_name: cluster }, timeout: "1s" },
      message_timeout: "1s",
      processing_mode: { request_header_mode: "SEND", response_header_mode: "SKIP" },
      forward_rules: { allowed_headers: { patterns: [{ exact: "x-service" }, { exact: "cookie" }] } },
    },
  };
}

export function loopbackCluster(name: string, port: number, http2: boolean): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    ...(http2
      ? {
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": `${API}.extensions.upstreams.http.v3.HttpProtocolOptions`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        }
      : {}),
    load_assignment: {
      cluster_name: name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }] },
      ],
    },
  };
}

export function bootstrap(options: {
  adminPort: number;
  listeners: readonly object[];
  upstreams: Readonly<Record<string, number>>;
  grpc: Readonly<Record<string, number>>;
  clusters?: readonly object[];
}): object {
  return {
    node: { id: "bench", cluster: "bench" },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: options.adminPort } } },
    static_resources: {
      listeners: options.listeners,
      clusters: [
        ...Object.entries(options.upstreams).map(([name, port]) => loopbackCluster(name, port, false)),
        ...Object.entries(options.grpc).map(([name, port]) => loopbackCluster(name, port, true)),
        ...(options.clusters ?? []),
      ],
    },
  };
}
