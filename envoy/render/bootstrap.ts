import { type Address, type ControlTls, controlCluster, socketAddress, targetCluster } from "./clusters.ts";
import { explain } from "./explained.ts";
import { type ListenerOptions, listener } from "./listener.ts";
import { type Json, KILL_SWITCH_KEY } from "./names.ts";

export interface BootstrapOptions {
  /** xDS node.cluster: the fleet in ballast.yaml. */
  fleet: string;
  /** xDS node.id. */
  nodeId: string;
  admin: Address;
  /** Usually one. */
  listeners: readonly ListenerOptions[];
  /** Where each target answers. */
  targets: readonly { name: string; address: Address }[];
  /** All control servers; null: without the control cluster. */
  control: Address | readonly Address[] | null;
  controlTls?: ControlTls;
  healthCheck?: boolean;
}

/** A complete bootstrap. */
export function bootstrap(options: BootstrapOptions): Json {
  const { admin, control } = options;
  return explain(
    {
      node: { id: options.nodeId, cluster: options.fleet },
      admin: { address: socketAddress(admin) },
      stats_flush_interval: "1s",
      layered_runtime: runtimeLayers(),
      static_resources: {
        listeners: options.listeners.map(listener),
        clusters: [
          ...options.targets.map(({ name, address }) =>
            targetCluster(name, address, { healthCheck: options.healthCheck ?? true }),
          ),
          ...(control === null
            ? []
            : [controlCluster(control, options.controlTls === undefined ? {} : { tls: options.controlTls })]),
        ],
      },
    },
    {
      node:
        "[ballast, optional] Who this Envoy is. `cluster` is the fleet: all Envoys with the same one share one set of weights, so it\n" +
        "must equal `fleet` in ballast.yaml. `id` must differ between Envoys. Instead of it, or where yours says something else, name\n" +
        "`fleet` and `node` in the filter's configuration below; telemetry goes by `id`, so keep that the same if you can.",
      admin:
        "The admin endpoint on loopback: Ballast reads health, requests and latency there (envoy.admin in ballast.yaml).",
      stats_flush_interval:
        "[ballast, optional] Latency histograms are merged at each flush, every 5 s by default, and the control server reads them twice\n" +
        "a second. Without it latencies are some seconds old; requests, failures and health are not.",
      layered_runtime: explainRuntime(`${admin.host}:${admin.port}`),
    },
  );
}

/** Runtime that the admin endpoint can change: the kill switch needs it. */
export function runtimeLayers(): Json {
  return {
    layers: [
      { name: "static", static_layer: {} },
      { name: "admin", admin_layer: {} },
    ],
  };
}

export function explainRuntime(admin: string): string {
  return (
    "[ballast, optional] The kill switch of this Envoy is a runtime key; the admin layer lets you set it without a restart:\n" +
    `  curl -X POST 'http://${admin}/runtime_modify?${KILL_SWITCH_KEY}=100'   all traffic on the static routes\n` +
    `  curl -X POST 'http://${admin}/runtime_modify?${KILL_SWITCH_KEY}='      back to Ballast\n` +
    "An RTDS or disk layer does as well. Without any, there is only the fleet's: `ballast kill-switch on --reason TEXT`."
  );
}
