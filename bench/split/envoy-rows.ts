import { loopbackCluster } from "../hot-path/listener.ts";
import { type Push, SLOTS } from "./weights.ts";

/**
 * What a user of Envoy alone has. Every state of the weights is a listener of its own, built as if Envoy had just been given these weights:
 * all four mappings are functions of the configuration, so a push and a fresh start give the same one.
 */
export interface EnvoyRow {
  name: string;
  what: string;
  /** Routes sessions by their cookie; the others only split. */
  sessions: boolean;
  /** Routes and clusters for one state of the weights. `suffix` keeps names apart. */
  parts(state: Push, suffix: string, ports: readonly number[]): { route: object; clusters: object[] };
}

const SID = { hash_policy: [{ cookie: { name: "sid" } }] };
const TABLE_SIZE = 65_537; // Envoy's default for Maglev

export function targetName(index: number): string {
  return `target_${index}`;
}

function weighted(weights: readonly number[], hashed: boolean): object {
  const clusters = weights.map((weight, index) => ({ name: targetName(index), weight }));
  return hashed
    ? { weighted_clusters: { clusters, use_hash_policy: true }, ...SID }
    : { weighted_clusters: { clusters } };
}

/** One cluster whose endpoints carry the weights; a drained endpoint (weight 0) is left out, as Envoy wants weights from 1. */
function endpoints(name: string, policy: object, weights: readonly number[], ports: readonly number[]): object {
  const lb = weights.flatMap((weight, index) =>
    weight === 0
      ? []
      : [
          {
            endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: ports[index] } } },
            load_balancing_weight: weight,
          },
        ],
  );
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    ...policy,
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: lb }] },
  };
}

function endpointRow(name: string, what: string, sessions: boolean, policy: object): EnvoyRow {
  return {
    name,
    what,
    sessions,
    parts: (state, suffix, ports) => ({
      route: { cluster: `${name}_${suffix}`, ...(sessions ? SID : {}) },
      clusters: [endpoints(`${name}_${suffix}`, policy, state.weights, ports)],
    }),
  };
}

export const ENVOY_ROWS: readonly EnvoyRow[] = [
  {
    name: "random",
    what: "weighted_clusters, a random number per request",
    sessions: false,
    parts: (state) => ({ route: weighted(state.weights, false), clusters: [] }),
  },
  endpointRow("edf", "one cluster, weighted endpoints, ROUND_ROBIN (EDF)", false, { lb_policy: "ROUND_ROBIN" }),
  {
    name: "hash_policy",
    what: "weighted_clusters with use_hash_policy, weights as written (their sum changes)",
    sessions: true,
    parts: (state) => ({ route: weighted(state.weights, true), clusters: [] }),
  },
  {
    name: "hash_policy_fixed_sum",
    what: `the same, weights kept at a sum of ${SLOTS}`,
    sessions: true,
    parts: (state) => ({ route: weighted(state.quotas, true), clusters: [] }),
  },
  endpointRow("maglev", `one cluster, weighted endpoints, MAGLEV of ${TABLE_SIZE}`, true, { lb_policy: "MAGLEV" }),
];

export function targetClusters(ports: readonly number[]): object[] {
  return ports.map((port, index) => loopbackCluster(targetName(index), port, false));
}
