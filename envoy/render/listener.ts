import { type Address, socketAddress } from "./clusters.ts";
import { explain } from "./explained.ts";
import { discoveredFilterEntry, type FilterOptions, filterEntry } from "./filter.ts";
import { FILTER_NAME, type Json, STEER_HEADER, TYPE } from "./names.ts";
import { addHeader, type RouteOptions, type SteeredService, serviceRoutes, valuesOf } from "./routes.ts";
import { newSessionFilter, newSessionMutations, setCookieHeader } from "./sessions.ts";

export interface ListenerOptions {
  name?: string;
  listen: Address;
  services: readonly SteeredService[];
  routes: RouteOptions;
  /** Null: the user's static weights alone. `ecdsPath`: the plugin comes from that file. */
  filter: (FilterOptions & { ecdsPath?: string }) | null;
  /** Response header that carries the chosen cluster's name, for tests and the demo. */
  clusterHeader?: string;
}

export function listener(options: ListenerOptions): Json {
  return {
    name: options.name ?? "services",
    address: socketAddress(options.listen),
    filter_chains: [
      {
        filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager(options) }],
      },
    ],
  };
}

export const STRIPPED =
  "[ballast] A client must not choose its own target. An ordinary header filter would be too late: the route is\n" +
  "chosen before it. This strips the header before that, with the filter, without it and while it is broken.";
export const REMOVED = "[ballast] The header is for Envoy's own routing; upstreams never see it.";

/** The connection manager: what strips the client's header, the routes and the filter chain. */
export function connectionManager(options: ListenerOptions): Json {
  const { services } = options;
  const routes = { ...options.routes, steered: options.filter !== null };
  const { issue } = routes;
  return explain(
    {
      "@type": `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: options.name ?? "ingress",
      codec_type: "AUTO",
      early_header_mutation_extensions: [earlyMutation(options)],
      route_config: explain(
        {
          name: options.name ?? "services",
          ...(options.filter?.debugHeader === undefined ? {} : { internal_only_headers: [options.filter.debugHeader] }),
          request_headers_to_remove: [STEER_HEADER],
          virtual_hosts: [
            {
              name: "services",
              domains: ["*"],
              ...responseHeaders(options),
              routes: services.flatMap((service) => serviceRoutes(service, routes)),
            },
          ],
        },
        {
          internal_only_headers:
            "[ballast] Only clients that are judged internal may ask for the debug header, and by default none is: say which\n" +
            "are by use_remote_address: true and internal_address_config of the connection manager.",
          request_headers_to_remove: REMOVED,
        },
      ),
      http_filters: [
        ...(issue === undefined ? [] : [newSessionFilter()]),
        ...chainEntry(options),
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": `${TYPE}.extensions.filters.http.router.v3.Router` },
        },
      ],
    },
    {
      early_header_mutation_extensions: STRIPPED,
    },
  );
}

/** The filter with the values that the form header_name needs. */
export function completeFilter(
  { services, routes }: Pick<ListenerOptions, "services" | "routes">,
  filter: FilterOptions,
): FilterOptions {
  const values = valuesOf(services, routes.form);
  return values === undefined ? filter : { ...filter, values };
}

function chainEntry(options: ListenerOptions): Json[] {
  if (options.filter === null) return [];
  const pluginName = options.name === undefined ? FILTER_NAME : `${FILTER_NAME}-${options.name}`;
  const filter = completeFilter(options, { pluginName, ...options.filter });
  const { ecdsPath } = options.filter;
  return [ecdsPath === undefined ? filterEntry(filter) : discoveredFilterEntry(ecdsPath, filter)];
}

export function earlyMutation({ routes }: Pick<ListenerOptions, "routes">): Json {
  return {
    name: "envoy.http.early_header_mutation.header_mutation",
    typed_config: {
      "@type": `${TYPE}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation`,
      mutations: [{ remove: STEER_HEADER }, ...(routes.issue === undefined ? [] : newSessionMutations())],
    },
  };
}

function responseHeaders({ clusterHeader, routes, filter }: ListenerOptions): Json {
  const added = [
    ...(clusterHeader === undefined ? [] : [addHeader(clusterHeader, "%UPSTREAM_CLUSTER%")]),
    ...(routes.issue === undefined ? [] : [setCookieHeader()]),
    ...(filter?.debugHeader === undefined ? [] : [addHeader(filter.debugHeader, `%REQ(${filter.debugHeader})%`)]),
  ];
  return added.length === 0 ? {} : { response_headers_to_add: added };
}
