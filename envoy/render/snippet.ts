import { explainRuntime, runtimeLayers } from "./bootstrap.ts";
import { type Address, controlCluster } from "./clusters.ts";
import { explain, toYaml } from "./explained.ts";
import type { FilterOptions } from "./filter.ts";
import { ecdsResponse } from "./filter.ts";
import { completeFilter, connectionManager, type ListenerOptions, REMOVED, STRIPPED } from "./listener.ts";
import type { Json } from "./names.ts";
import type { RouteOptions, SteeredService } from "./routes.ts";

/** The parts that a user pastes into an Envoy configuration, each with the place where it belongs. */
export interface Snippet {
  bootstrap: Json;
  cluster: Json;
  /** Of the connection manager: all but the routes. */
  manager: Json;
  /** Of its route configuration. */
  routeConfig: Json;
  /** Of the virtual host: the services' routes, and the response headers that some options need. */
  virtualHost: Json;
  /** The file that ECDS reads, where that was asked for. */
  ecds: Json | null;
}

export interface SnippetOptions {
  services: readonly SteeredService[];
  routes: RouteOptions;
  filter: FilterOptions & { ecdsPath?: string };
  control: Address | readonly Address[];
}

export function renderSnippet(options: SnippetOptions): Snippet {
  const { services, routes, filter } = options;
  const listener: ListenerOptions = { listen: { host: "", port: 0 }, services, routes, filter };
  const manager = connectionManager(listener) as Json & { route_config: Json; http_filters: Json[] };
  const { route_config: routeConfig, early_header_mutation_extensions, http_filters } = manager;
  const { virtual_hosts, name: _, ...ofRoutes } = routeConfig as Json & { virtual_hosts: Json[] };
  const { name: __, domains: ___, ...virtualHost } = virtual_hosts[0] as Json;
  return {
    bootstrap: explain({ layered_runtime: runtimeLayers() }, { layered_runtime: explainRuntime("ADMIN") }),
    cluster: { clusters: [controlCluster(options.control)] },
    manager: explain(
      {
        early_header_mutation_extensions,
        http_filters: http_filters.filter((entry) => entry.name !== "envoy.filters.http.router"),
      },
      {
        early_header_mutation_extensions: STRIPPED,
        http_filters: "One filter serves all services of this Envoy: print their snippet together.",
      },
    ),
    routeConfig: explain(ofRoutes, { request_headers_to_remove: REMOVED }),
    virtualHost,
    ecds: filter.ecdsPath === undefined ? null : ecdsResponse(completeFilter({ services, routes }, filter), "1"),
  };
}

/** As YAML documents, one per place. */
export function snippetYaml(snippet: Snippet, ecdsPath?: string): string {
  const parts: [string, Json | null][] = [
    ["In the bootstrap, optional: not needed where you have a runtime layer that can be written.", snippet.bootstrap],
    ["Under static_resources, or from your CDS.", snippet.cluster],
    ["In the HttpConnectionManager. The filters stand before envoy.filters.http.router.", snippet.manager],
    ["In its route_config.", snippet.routeConfig],
    ["In the virtual host, in place of the routes of these services.", snippet.virtualHost],
    [`The file ${ecdsPath ?? ""}.`, snippet.ecds],
  ];
  return parts.flatMap(([where, part]) => (part === null ? [] : [toYaml(part, where)])).join("---\n");
}
