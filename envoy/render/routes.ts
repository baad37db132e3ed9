import { explain } from "./explained.ts";
import { FILTER_NAME, type Json, KILL_SWITCH_KEY, STEER_HEADER, TYPE } from "./names.ts";
import { type Issue, issueSession } from "./sessions.ts";
import { chooseValues, type WeightedTarget } from "./values.ts";

/** How the header that the filter wrote becomes a cluster. */
export type SteeringForm = "header-route" | "exact-routes" | "header-name";
export const FORMS: readonly SteeringForm[] = ["header-route", "exact-routes", "header-name"];

export interface SteeredService {
  /** Name in ballast.yaml, and of its routes. */
  name: string;
  /** In the order of the route; the names are cluster names. Weights are the user's own, in parts of their sum. */
  targets: readonly WeightedTarget[];
  /** What is other for this service than for the rest of the listener. */
  routes?: Partial<Pick<RouteOptions, "form" | "match" | "timeout" | "retry">>;
}

export interface RouteOptions {
  form: SteeringForm;
  /** Which requests are the service's; default those whose path begins with /NAME. */
  match?: Json;
  /** Without it: the user's static route alone. Default true. */
  steered?: boolean;
  timeout?: string;
  retry?: Json;
  /** Response header that tells `steered` from `static`, for tests and the demo. */
  markHeader?: string;
  /** Issue a session cookie to clients that have none. */
  issue?: Issue;
}

/**
 * Repeats only what never reached the upstream: safe for requests that must not be done twice. It stays in the chosen cluster, and
 * there goes to a host that was not tried.
 */
export const SAFE_RETRY: Json = {
  retry_on: "connect-failure,refused-stream",
  num_retries: 1,
  retry_host_predicate: [
    {
      name: "envoy.retry_host_predicates.previous_hosts",
      typed_config: { "@type": `${TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate` },
    },
  ],
  // Draws until it meets such a host: with one of two hosts dead, all 16 meet the dead one once in 65,000 retries.
  host_selection_retry_max_attempts: 16,
};

/** The routes of one service in their order: the kill switch, what the form adds, and the user's own static route. */
export function serviceRoutes(service: SteeredService, common: RouteOptions): Json[] {
  const options = { ...common, ...service.routes };
  const match = options.match ?? { prefix: `/${service.name}` };
  const policy = { timeout: options.timeout ?? "10s", retry_policy: { ...(options.retry ?? SAFE_RETRY) } };
  const weights = { clusters: service.targets.map(({ name, weight }) => ({ name, weight })) };
  // One object for both uses, so that the YAML says the weights once.
  const untouched = { weighted_clusters: weights, ...policy };
  const route = (extra: Json, action: Json, mark: string, rest: Json = {}): Json => ({
    name: service.name,
    match: mergeMatch(match, extra),
    route: action,
    ...(options.markHeader === undefined ? {} : { response_headers_to_add: [addHeader(options.markHeader, mark)] }),
    ...rest,
  });

  const own = route({}, untouched, "static");
  if (options.steered === false) return [own];
  const killSwitch = explain(
    route(
      {
        runtime_fraction: { default_value: { numerator: 0, denominator: "HUNDRED" }, runtime_key: KILL_SWITCH_KEY },
      },
      untouched,
      "static",
      {
        typed_per_filter_config: { [FILTER_NAME]: { "@type": `${TYPE}.config.route.v3.FilterConfig`, disabled: true } },
      },
    ),
    {
      name:
        "[ballast] The kill switch: off (0 of 100) until the runtime key says otherwise. It carries your static weights and\n" +
        "takes the filter out of the path for itself, so that it works even while the filter's VM is broken.",
    },
  );
  const steered = steeredRoutes(service, options.form, route, policy);
  const newcomers =
    options.issue === undefined
      ? []
      : issueSession(options.issue).map(({ headers, rest }) =>
          route({ headers }, options.form === "header-name" ? byValue(weights, policy) : untouched, "static", rest),
        );
  if (options.form === "header-name") return [killSwitch, ...newcomers, ...steered];
  return [
    killSwitch,
    ...steered,
    ...newcomers,
    explain(own, { name: "Your own route, unchanged but for its name: it answers whenever nothing was written." }),
  ];
}

type MakeRoute = (extra: Json, action: Json, mark: string, rest?: Json) => Json;

function steeredRoutes(service: SteeredService, form: SteeringForm, route: MakeRoute, policy: Json): Json[] {
  switch (form) {
    case "header-route":
      return [
        explain(
          route(
            { headers: [{ name: STEER_HEADER, present_match: true }] },
            { cluster_header: STEER_HEADER, ...policy },
            "steered",
          ),
          { name: "[ballast] Taken when the filter wrote the header, whose value is the cluster's name." },
        ),
      ];
    case "exact-routes":
      return service.targets.map(({ name }, i) => {
        const only = route(
          { headers: [{ name: STEER_HEADER, string_match: { exact: name } }] },
          { cluster: name, ...policy },
          "steered",
        );
        return i > 0
          ? only
          : explain(only, { name: "[ballast] One route per target; a name that is not here takes the static route." });
      });
    case "header-name": {
      const weights = { clusters: service.targets.map(({ name, weight }) => ({ name, weight })) };
      return [
        explain(route({}, byValue(weights, policy), "static"), {
          name:
            "Your own route. [ballast] header_name is all that was added: the filter writes a number in a target's interval of the\n" +
            "weights. Without one Envoy draws by the weights. Changed weights move the intervals: print the snippet anew.\n" +
            "With `steering: header_name` in ballast.yaml the control server notices weights that were changed without it.",
        }),
      ];
    }
  }
}

function byValue(weights: Json, policy: Json): Json {
  return { weighted_clusters: { ...weights, header_name: STEER_HEADER }, ...policy };
}

/** `values` of the plugin configuration for the services that are steered by header_name; undefined when there are none. */
export function valuesOf(
  services: readonly SteeredService[],
  form: SteeringForm,
): Record<string, Record<string, string>> | undefined {
  const byNumber = services.filter(({ routes }) => (routes?.form ?? form) === "header-name");
  if (byNumber.length === 0) return undefined;
  return Object.fromEntries(byNumber.map(({ name, targets }) => [name, Object.fromEntries(chooseValues(targets))]));
}

/** The user's match with a route's own conditions on top. */
function mergeMatch(match: Json, extra: Json): Json {
  const headers = [...((match.headers as Json[] | undefined) ?? []), ...((extra.headers as Json[] | undefined) ?? [])];
  return { ...match, ...extra, ...(headers.length === 0 ? {} : { headers }) };
}

export function addHeader(key: string, value: string): Json {
  return { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
}
