/** The bootstrap of the demo's Envoy: the header-route form for its services, marked so that the demo's client sees what Envoy did. */
import { bootstrap } from "./render/bootstrap.ts";
import type { Address, ControlTls } from "./render/clusters.ts";
import type { Json } from "./render/names.ts";

export { CONTROL_CLUSTER, FILTER_NAME, KILL_SWITCH_KEY, STEER_HEADER } from "./render/names.ts";

/** Response headers by which the demo's client sees what Envoy did; nothing of Ballast needs them. */
export const DEMO_HEADERS = {
  /** `steered` or `static`: the route that answered, also for answers made by Envoy itself. */
  route: "x-demo-route",
  /** The cluster that Envoy chose. */
  cluster: "x-demo-cluster",
  /** Set by the backend that served the request. */
  servedBy: "x-served-by",
} as const;

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
    /** All control servers. */
    control: Address | readonly Address[];
    controlTls?: ControlTls;
    sessionCookie: string;
    debugHeader?: string;
  } | null;
}

const LOOPBACK = "127.0.0.1";

export function renderBootstrap({ filter, services, ...options }: DemoBootstrap): Json {
  const rendered = bootstrap({
    fleet: options.fleet,
    nodeId: options.nodeId,
    admin: { host: LOOPBACK, port: options.adminPort },
    listeners: [
      {
        listen: { host: LOOPBACK, port: options.listenPort },
        services: services.map(({ name, targets }) => ({
          name,
          targets: targets.map((target) => ({ name: target.name, weight: target.basePpm })),
        })),
        routes: { form: "header-route", markHeader: DEMO_HEADERS.route },
        filter:
          filter === null
            ? null
            : {
                wasmPath: filter.wasmPath,
                sessionFrom: { cookie: filter.sessionCookie },
                ...(filter.debugHeader === undefined ? {} : { debugHeader: filter.debugHeader }),
              },
        clusterHeader: DEMO_HEADERS.cluster,
      },
    ],
    targets: services.flatMap(({ targets }) =>
      targets.map(({ name, port }) => ({ name, address: { host: LOOPBACK, port } })),
    ),
    control: filter === null ? null : filter.control,
    ...(filter?.controlTls === undefined ? {} : { controlTls: filter.controlTls }),
  }) as { static_resources: { listeners: Json[] } };
  // Few client connections: without it one worker could get them all.
  for (const listener of rendered.static_resources.listeners)
    listener.connection_balance_config = { exact_balance: {} };
  return rendered;
}
