import { isIP } from "node:net";
import { explain } from "./explained.ts";
import { CONTROL_CLUSTER, type Json, TYPE } from "./names.ts";

export interface Address {
  host: string;
  port: number;
}

/** A target: one cluster of the user's. */
export function targetCluster(
  name: string,
  address: Address,
  options: { healthCheck?: boolean; type?: string } = {},
): Json {
  return {
    name,
    type: options.type ?? "STATIC",
    connect_timeout: "0.5s",
    lb_policy: "LEAST_REQUEST",
    load_assignment: loadAssignment(name, address),
    ...(options.healthCheck === false ? {} : { health_checks: [HEALTH_CHECK()] }),
  };
}

const HEALTH_CHECK = (): Json =>
  explain(
    {
      timeout: "0.5s",
      interval: "1s",
      no_traffic_interval: "1s",
      unhealthy_threshold: 2,
      healthy_threshold: 2,
      http_health_check: { path: "/healthz" },
    },
    { no_traffic_interval: "A drained target has no traffic; its health is what lets it come back." },
  );

/** Mutual TLS towards the control servers; paths as Envoy sees them. */
export interface ControlTls {
  caFile: string;
  certFile: string;
  keyFile: string;
  /** DNS name that each server's certificate must carry. */
  serverName: string;
}

/**
 * The control server as a cluster: HTTP/2, with a keepalive. Of several servers only one leads and the others refuse: each
 * refusal puts that address aside for some seconds, and the filter's next try goes to another.
 */
export function controlCluster(
  servers: Address | readonly Address[],
  options: { name?: string; tls?: ControlTls } = {},
): Json {
  const addresses: readonly Address[] = "host" in servers ? [servers] : servers;
  const { name = CONTROL_CLUSTER, tls } = options;
  return explain(
    {
      name,
      type: addresses.some(({ host }) => isIP(host) === 0) ? "STRICT_DNS" : "STATIC",
      connect_timeout: "1s",
      load_assignment: loadAssignment(name, addresses),
      ...(addresses.length === 1 ? {} : ASIDE()),
      ...(tls === undefined ? {} : { transport_socket: tlsSocket(tls) }),
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": `${TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions`,
          explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: "5s", timeout: "2s" } } },
        },
      },
    },
    {
      name:
        "[ballast] The control server (server.xds in ballast.yaml): HTTP/2, and a keepalive so that a server which vanished\n" +
        "without a word is noticed within seconds; a filter's stream has none of its own.",
    },
  );
}

/** `split_external_local_origin_errors` is what makes a refused connection count by itself. */
const ASIDE = (): Json =>
  explain(
    {
      outlier_detection: {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: 1,
        consecutive_5xx: 1,
        interval: "1s",
        base_ejection_time: "2s",
        max_ejection_time: "4s",
        max_ejection_percent: 100,
      },
      common_lb_config: { healthy_panic_threshold: { value: 0 } },
    },
    {
      outlier_detection:
        "[ballast] Several control servers: one leads, the others refuse. Who refuses is left alone for two to four seconds.",
    },
  );

function tlsSocket({ caFile, certFile, keyFile, serverName }: ControlTls): Json {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: serverName,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { filename: certFile }, private_key: { filename: keyFile } }],
        validation_context: {
          trusted_ca: { filename: caFile },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: serverName } }],
        },
      },
    },
  };
}

function loadAssignment(cluster: string, addresses: Address | readonly Address[]): Json {
  const list: readonly Address[] = "host" in addresses ? [addresses] : addresses;
  return {
    cluster_name: cluster,
    endpoints: [{ lb_endpoints: list.map((address) => ({ endpoint: { address: socketAddress(address) } })) }],
  };
}

export function socketAddress({ host, port }: Address): Json {
  return { socket_address: { address: host, port_value: port } };
}
