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

/** The control server as a cluster: HTTP/2, with a keepalive. */
export function controlCluster(address: Address, name = CONTROL_CLUSTER): Json {
  return explain(
    {
      name,
      type: isIP(address.host) === 0 ? "STRICT_DNS" : "STATIC",
      connect_timeout: "1s",
      load_assignment: loadAssignment(name, address),
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

function loadAssignment(cluster: string, address: Address): Json {
  return {
    cluster_name: cluster,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(address) } }] }],
  };
}

export function socketAddress({ host, port }: Address): Json {
  return { socket_address: { address: host, port_value: port } };
}
