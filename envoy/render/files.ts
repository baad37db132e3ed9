import { bootstrap } from "./bootstrap.ts";
import { toYaml } from "./explained.ts";
import { ecdsResponse, type FilterOptions } from "./filter.ts";
import type { ListenerOptions } from "./listener.ts";
import type { RouteOptions } from "./routes.ts";

/**
 * The committed configurations: complete bootstraps that run as they are, with one service on two targets, from which a user copies
 * the parts marked [ballast]. `write-files.ts` writes them; a test keeps them in step with this file.
 */

const LOOPBACK = "127.0.0.1";
const SERVICE = {
  name: "payments",
  targets: [
    { name: "payments-site-a", weight: 60 },
    { name: "payments-site-b", weight: 40 },
  ],
};
const FILTER: FilterOptions = { wasmPath: "/etc/envoy/ballast.wasm", sessionFrom: { cookie: "sid" } };
const ECDS_PATH = "/etc/envoy/ecds-filter.yaml";

const COPY = (file: string, what: string): string =>
  `${what}
A complete bootstrap that runs as it is. The parts marked [ballast] are what you copy, those marked
[ballast, optional] too if you want what they say; the rest stands for what you have already.

  1. Build the filter (npm run build:filter) and put build/filter/ballast.wasm where Envoy can read it.
  2. Copy the [ballast] parts; put your own names in place of payments, payments-site-a and payments-site-b. The routes' name is
     the service's name in ballast.yaml, the clusters' names are its targets. For your services at once:
       ballast envoy snippet --service NAME
  3. Start the server: ballast serve --config ballast.yaml.

Until the server has activated an epoch, and whenever the filter writes nothing, your own static route answers as before.
Needs Envoy 1.37 or newer with the V8 Wasm runtime. Envoy --mode validate -c ${file} checks the file, ballast envoy check the binary.
Written by envoy/write-files.ts.`;

function example(
  routes: RouteOptions,
  filter: ListenerOptions["filter"] = FILTER,
  more: Partial<ListenerOptions> = {},
): object {
  return bootstrap({
    fleet: "production",
    nodeId: "edge-1",
    admin: { host: LOOPBACK, port: 9901 },
    listeners: [{ listen: { host: LOOPBACK, port: 10000 }, services: [SERVICE], routes, filter, ...more }],
    targets: SERVICE.targets.map(({ name }, i) => ({ name, address: { host: LOOPBACK, port: 10010 + i } })),
    control: { host: LOOPBACK, port: 18000 },
  });
}

/** File name → text. */
export function committedFiles(): Map<string, string> {
  const file = (name: string, what: string, value: object): [string, string] => [name, toYaml(value, COPY(name, what))];
  return new Map([
    file(
      "drop-in.yaml",
      "Ballast in your own Envoy, steered by one route per service that takes the cluster from a header (the default form).",
      example({ form: "header-route" }),
    ),
    file(
      "exact-routes.yaml",
      "Ballast in your own Envoy, steered by one route per target: no name that is not in your configuration can be chosen.",
      example({ form: "exact-routes" }),
    ),
    file(
      "header-name.yaml",
      "Ballast in your own Envoy, steered by the value from which Envoy picks among the weights of your own route.",
      example({ form: "header-name" }),
    ),
    file(
      "sessions.yaml",
      "Ballast in your own Envoy, with sessions that Envoy issues itself: a cookie for every client that has none.",
      example({ form: "header-route", issue: { cookie: "sid", attributes: "Path=/; HttpOnly; SameSite=Lax" } }),
    ),
    file(
      "debug.yaml",
      "Ballast in your own Envoy, with a response header that tells trusted clients which target was chosen in which epoch.",
      example({ form: "header-route" }, { ...FILTER, debugHeader: "x-ballast-debug" }),
    ),
    file(
      "ecds.yaml",
      "Ballast in your own Envoy, with the filter's configuration in a file of its own that Envoy takes up while it runs.",
      example({ form: "header-route" }, { ...FILTER, ecdsPath: ECDS_PATH }),
    ),
    [
      "ecds-filter.yaml",
      toYaml(
        ecdsResponse(FILTER, "1"),
        "The filter's configuration for ecds.yaml. Change a copy and move it into place: Envoy watches for the move.\n" +
          "A configuration that the filter refuses changes nothing. Written by envoy/write-files.ts.",
      ),
    ],
  ]);
}
