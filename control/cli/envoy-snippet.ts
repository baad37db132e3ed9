import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import type { ServiceFrom, SessionFrom } from "../../envoy/render/filter.ts";
import { FORMS, SAFE_RETRY, type SteeredService, type SteeringForm } from "../../envoy/render/routes.ts";
import { renderSnippet, snippetYaml } from "../../envoy/render/snippet.ts";
import type { BallastConfig, ServiceConfig } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { nearestNames } from "../config/nearest-name.ts";
import { parseListenAddress } from "../xds/listen-address.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast envoy snippet --service NAME [--service NAME ...] [flags]

Prints the YAML to paste into an Envoy configuration for services of ballast.yaml, one document per place. envoy/README.md compares the forms.
--form           header-route (default), exact-routes or header-name
--service-from   how the filter finds a request's service: route_name (default), header:NAME, or fixed (one --service only)
--session        cookie:NAME, header:NAME or none (default: cookie:sid when a service has \`sessions\`, else none)
--issue-sessions Envoy gives a session cookie to clients that have none; needs --session cookie:NAME
--retry-elsewhere a retry may go to another target: header-name only, Envoy 1.39 or newer
--debug-header   name of a response header with service, target and epoch, for trusted clients that send it
--ecds PATH      the filter's own configuration in a file that Envoy follows
--control HOST:PORT  a control server as this Envoy reaches it, once for each (default: server.xds of ballast.yaml)
--wasm PATH      where Envoy finds the module (default /etc/envoy/ballast.wasm)
--config FILE    default demo/ballast.yaml`;

/** A service in percent where all its shares are whole ones. */
const PPM_PER_PERCENT = 10_000;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      service: { type: "string", multiple: true, default: [] },
      form: { type: "string", default: "header-route" },
      "service-from": { type: "string", default: "route_name" },
      session: { type: "string" },
      "issue-sessions": { type: "boolean", default: false },
      "retry-elsewhere": { type: "boolean", default: false },
      "debug-header": { type: "string" },
      ecds: { type: "string" },
      control: { type: "string", multiple: true, default: [] },
      wasm: { type: "string", default: "/etc/envoy/ballast.wasm" },
      config: { type: "string", default: "demo/ballast.yaml" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  if (values.service.length === 0) throw usage("a snippet needs --service NAME");
  const form = FORMS.find((known) => known === values.form);
  if (form === undefined) throw usage(`--form ${values.form}: expected ${FORMS.join(", ")}`);
  if (values["retry-elsewhere"] && form !== "header-name") {
    throw usage(`--retry-elsewhere: the form ${form} names the cluster, so a retry stays in it; only header-name can`);
  }
  const config = await loadConfig(values.config);
  const chosen = [...new Set(values.service)].map((name) => findService(config, name));
  const sessionFrom = readSession(values.session, chosen);
  const serviceFrom = readServiceFrom(values["service-from"], chosen);
  if (values["issue-sessions"] && (sessionFrom === undefined || !("cookie" in sessionFrom))) {
    throw usage("--issue-sessions needs --session cookie:NAME");
  }
  const snippet = renderSnippet({
    services: chosen.map((service) => steered(service, form, serviceFrom)),
    routes: {
      form,
      ...(values["retry-elsewhere"] ? { retry: { ...SAFE_RETRY, refresh_cluster_on_retry: true } } : {}),
      ...(values["issue-sessions"] && sessionFrom !== undefined && "cookie" in sessionFrom
        ? { issue: { cookie: sessionFrom.cookie, attributes: "Path=/; HttpOnly; SameSite=Lax" } }
        : {}),
    },
    filter: {
      wasmPath: values.wasm,
      serviceFrom,
      ...(sessionFrom === undefined ? {} : { sessionFrom }),
      ...(values["debug-header"] === undefined ? {} : { debugHeader: values["debug-header"].toLowerCase() }),
      ...(values.ecds === undefined ? {} : { ecdsPath: values.ecds }),
    },
    control: values.control.length === 0 ? config.server.xds : values.control.map(readControl),
  });
  io.out(snippetYaml(snippet, values.ecds).trimEnd());
  return 0;
};

function usage(text: string): BallastError {
  return new BallastError("USAGE", text, { hint: USAGE });
}

function readControl(text: string): { host: string; port: number } {
  const address = parseListenAddress(text);
  if (address.port === 0) throw usage(`--control ${text}: expected HOST:PORT`);
  return address;
}

function findService(config: BallastConfig, name: string): ServiceConfig {
  const service = config.services.get(name);
  if (service !== undefined) return service;
  const [near] = nearestNames(name, config.services.keys());
  throw usage(`${config.file} has no service ${name}${near === undefined ? "" : `; did you mean ${near}?`}`);
}

function steered(service: ServiceConfig, form: SteeringForm, from: ServiceFrom): SteeredService {
  const targets = [...service.targets.values()];
  const unit = targets.every(({ basePpm }) => basePpm % PPM_PER_PERCENT === 0) ? PPM_PER_PERCENT : 1;
  // A weight of 0 has no interval: the form could never pick that target.
  const least = form === "header-name" ? 1 : 0;
  return {
    name: service.name,
    targets: targets.map(({ name, basePpm }) => ({ name, weight: Math.max(least, basePpm / unit) })),
    ...(typeof from === "object" && "header" in from
      ? { routes: { match: { prefix: "/", headers: [{ name: from.header, string_match: { exact: service.name } }] } } }
      : {}),
  };
}

function readServiceFrom(text: string, chosen: readonly ServiceConfig[]): ServiceFrom {
  if (text === "route_name") return text;
  if (text === "fixed" && chosen.length === 1) return { fixed: chosen[0]!.name };
  const header = /^header:(\S+)$/.exec(text)?.[1];
  if (header !== undefined) return { header };
  throw usage(`--service-from ${text}: expected route_name, header:NAME, or fixed with one --service`);
}

function readSession(text: string | undefined, chosen: readonly ServiceConfig[]): SessionFrom | undefined {
  if (text === undefined) return chosen.some(({ sessions }) => sessions !== null) ? { cookie: "sid" } : undefined;
  if (text === "none") return undefined;
  const [, kind, name] = /^(cookie|header):(\S+)$/.exec(text) ?? [];
  if (kind === "cookie") return { cookie: name! };
  if (kind === "header") return { header: name! };
  throw usage(`--session ${text}: expected cookie:NAME, header:NAME or none`);
}
