/**
 * Renders the bootstrap of the demo's Envoy: `drop-in.yaml` once per service, with the demo's own ports in place of the user's.
 * Envoy reads JSON, so the object is written as it is.
 */

/** Response headers by which the demo's client sees what Envoy did; nothing of Ballast needs them. */
export const DEMO_HEADERS = {
  /** `steered` or `static`: the route that answered, also for answers made by Envoy itself. */
  route: "x-demo-route",
  /** The cluster that Envoy chose. */
  cluster: "x-demo-cluster",
  /** Set by the backend that served the request. */
  servedBy: "x-served-by",
} as const;

export const STEER_HEADER = "x-ballast-target";
export const CONTROL_CLUSTER = "ballast_control";
export const KILL_SWITCH_KEY = "ballast.kill_switch";
/** Name of the filter in the chain; the kill-switch route disables it by this name. */
export const FILTER_NAME = "ballast";

export interface DemoService {
  name: string;
  targets: readonly { name: string; port: number; basePpm: number }[];
}

export interface DemoBootstrap {
  /** xDS node.cluster. */
  fleet: string;
  /** xDS node.id. */
  nodeId: string;
  listenPort: number;
  adminPort: number;
  services: readonly DemoService[];
  /** Null: the user's static weights alone, without filter and control cluster. */
  filter: {
    wasmPath: string;
    control: { host: string; port: number };
    sessionCookie: string;
  } | null;
}

type Json = Record<string, unknown>;

const LOOPBACK = "127.0.0.1";
const TYPE = "type.googleapis.com/envoy";

export function renderBootstrap(options: DemoBootstrap): Json {
  const { filter, services } = options;
  const targets = services.flatMap((service) => service.targets);
  return {
    node: { id: options.nodeId, cluster: options.fleet },
    admin: { address: socketAddress(LOOPBACK, options.adminPort) },
    // Latency histograms of the admin endpoint are merged at each flush; the control server reads them every second.
    stats_flush_interval: "1s",
    layered_runtime: {
      layers: [
        { name: "static", static_layer: {} },
        { name: "admin", admin_layer: {} },
      ],
    },
    static_resources: {
      listeners: [listener(options)],
      clusters: [
        ...targets.map((target) => targetCluster(target.name, target.port)),
        ...(filter === null ? [] : [controlCluster(filter.control)]),
      ],
    },
  };
}

function listener(options: DemoBootstrap): Json {
  const { filter, services } = options;
  const connectionManager = {
    "@type": `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "ingress",
    codec_type: "AUTO",
    early_header_mutation_extensions: [
      {
        name: "envoy.http.early_header_mutation.header_mutation",
        typed_config: {
          "@type": `${TYPE}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation`,
          mutations: [{ remove: STEER_HEADER }],
        },
      },
    ],
    route_config: {
      name: "services",
      request_headers_to_remove: [STEER_HEADER],
      virtual_hosts: [
        {
          name: "services",
          domains: ["*"],
          response_headers_to_add: [addHeader(DEMO_HEADERS.cluster, "%UPSTREAM_CLUSTER%")],
          routes: services.flatMap((service) => serviceRoutes(service, filter !== null)),
        },
      ],
    },
    http_filters: [
      ...(filter === null ? [] : [wasmFilter(filter)]),
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": `${TYPE}.extensions.filters.http.router.v3.Router` },
      },
    ],
  };
  return {
    name: "services",
    address: socketAddress(LOOPBACK, options.listenPort),
    // Few client connections: without it one worker could get them all.
    connection_balance_config: { exact_balance: {} },
    filter_chains: [
      { filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager }] },
    ],
  };
}

/** Kill switch above the steered route above the static one; all three carry the service's name. */
function serviceRoutes(service: DemoService, steered: boolean): Json[] {
  const prefix = `/${service.name}`;
  const common = {
    timeout: "10s",
    retry_policy: { retry_on: "connect-failure,refused-stream", num_retries: 1 },
  };
  const weighted = { clusters: service.targets.map((target) => ({ name: target.name, weight: target.basePpm })) };
  const staticRoute = {
    name: service.name,
    match: { prefix },
    route: { weighted_clusters: weighted, ...common },
    response_headers_to_add: [addHeader(DEMO_HEADERS.route, "static")],
  };
  if (!steered) return [staticRoute];
  const killSwitch = {
    ...staticRoute,
    match: {
      prefix,
      runtime_fraction: { default_value: { numerator: 0, denominator: "HUNDRED" }, runtime_key: KILL_SWITCH_KEY },
    },
    typed_per_filter_config: { [FILTER_NAME]: { "@type": `${TYPE}.config.route.v3.FilterConfig`, disabled: true } },
  };
  const steeredRoute = {
    name: service.name,
    match: { prefix, headers: [{ name: STEER_HEADER, present_match: true }] },
    route: { cluster_header: STEER_HEADER, ...common },
    response_headers_to_add: [addHeader(DEMO_HEADERS.route, "steered")],
  };
  return [killSwitch, steeredRoute, staticRoute];
}

function wasmFilter(filter: NonNullable<DemoBootstrap["filter"]>): Json {
  const configuration = {
    control_cluster: CONTROL_CLUSTER,
    service_from: "route_name",
    steer_header: STEER_HEADER,
    session_from: { cookie: filter.sessionCookie },
  };
  return {
    name: FILTER_NAME,
    typed_config: {
      "@type": `${TYPE}.extensions.filters.http.wasm.v3.Wasm`,
      config: {
        name: FILTER_NAME,
        failure_policy: "FAIL_RELOAD",
        configuration: {
          "@type": "type.googleapis.com/google.protobuf.StringValue",
          value: JSON.stringify(configuration),
        },
        vm_config: {
          vm_id: "ballast",
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: filter.wasmPath } },
        },
      },
    },
  };
}

function targetCluster(name: string, port: number): Json {
  return {
    name,
    type: "STATIC",
    connect_timeout: "0.5s",
    lb_policy: "LEAST_REQUEST",
    load_assignment: loadAssignment(name, LOOPBACK, port),
    health_checks: [
      {
        timeout: "0.5s",
        interval: "1s",
        // A drained target has no traffic; its health is what lets it come back.
        no_traffic_interval: "1s",
        unhealthy_threshold: 2,
        healthy_threshold: 2,
        http_health_check: { path: "/healthz" },
      },
    ],
  };
}

function controlCluster(control: { host: string; port: number }): Json {
  return {
    name: CONTROL_CLUSTER,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: loadAssignment(CONTROL_CLUSTER, control.host, control.port),
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions`,
        // A filter's gRPC stream has no keepalive of its own: without this a server that vanished is noticed by TCP alone.
        explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: "5s", timeout: "2s" } } },
      },
    },
  };
}

function loadAssignment(cluster: string, host: string, port: number): Json {
  return {
    cluster_name: cluster,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
  };
}

function socketAddress(address: string, port: number): Json {
  return { socket_address: { address, port_value: port } };
}

function addHeader(key: string, value: string): Json {
  return { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
}
