import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/native-build.ts";
import {
  dynamicModule,
  extProcFilter,
  HASHED,
  listener,
  luaFilter,
  type Mode,
  SERVICE,
  type Steering,
  TARGETS,
  WEIGHTED,
  wasmFilter,
} from "./listener.ts";

/** What the job of a row is; rows are compared within one job. */
export interface Job {
  service: "header" | "fixed" | "route";
  session: boolean;
}

/** One line of the table. Every row that steers does the same job: find the service, pick by weight, send the request there. */
export interface Row {
  name: string;
  what: string;
  /** Undefined where nothing is picked, or not by us. */
  job?: Job;
  /** Expected of the answers when forwarding: all to the first target, 70/30, or 70/30 with each session on one target. */
  expect: "first" | "split" | "sticky";
  /** Share of the first target where it is not 70 %. */
  share?: number;
  /** A row that picks in the route itself has nothing to do on a direct response. */
  modes: readonly Mode[];
  /** Measured by --quick as well. */
  quick: boolean;
  /** Parts that must be there: built natively, or brought up by the run. */
  needs?: "ext_proc" | "dynamic_module" | "go_sdk" | "ballast";
  listener(port: number, mode: Mode): object;
}

const PEERS = join(ROOT, "bench/hot-path/peers");
/** Three, as the demo has: a look-up by name is part of the job. */
export const SERVICES: readonly string[] = ["quotes", SERVICE, "ledger"];
/** First targets' slots of the two services that only Ballast's rows of left-out work ask for. */
export const OTHER_SPLITS: Readonly<Record<string, number>> = { quotes: 973, ledger: 1024 };
const BOTH: readonly Mode[] = ["direct", "forward"];

/** Configuration text of the Rust, AssemblyScript, ext_proc and dynamic-module peers: three services, as the demo has. */
export function peerConfiguration(job: Job): string {
  const split = TARGETS.map(({ cluster, slots }) => `${cluster}:${slots}`).join(" ");
  return [
    job.service === "fixed" ? `service fixed ${SERVICE}` : "service header",
    `session ${job.session ? "on" : "off"}`,
    ...SERVICES.map((service) => `table ${service} ${split}`),
  ].join("\n");
}

function luaSource(job: Job): string {
  const split = TARGETS.map(({ cluster, slots }) => `{"${cluster}", ${slots}}`).join(", ");
  const tables = SERVICES.map((service) => `${service} = {${split}}`).join(", ");
  return readFileSync(join(PEERS, "lua/steer.lua"), "utf8")
    .replace("@TABLES@", `{${tables}}`)
    .replace("@SERVICE@", job.service === "fixed" ? `"${SERVICE}"` : "nil")
    .replace("@SESSION@", String(job.session));
}

/** The filter's plugin configuration (docs/reference/filter.md). */
export function ballastConfiguration(job: Job, service = SERVICE, more: object = {}): string {
  const from = { header: { header: "x-service" }, fixed: { fixed: service }, route: "route_name" }[job.service];
  return JSON.stringify({
    control_cluster: "ballast_control",
    fleet: "bench",
    node: "bench",
    service_from: from,
    steer_header: "x-ballast-target",
    ...(job.session ? { session_from: { cookie: "sid" } } : {}),
    ...more,
  });
}

/** A split of Ballast's with every pick written, and with the first target's left to the route. Both below a route to that target. */
function unwrittenRows(service: string, share: number, ballast: string): Row[] {
  const percent = Math.round(100 * share);
  const job: Job = { service: "fixed", session: true };
  return [false, true].map((leave) => {
    const name = `ballast_${percent}_${100 - percent}${leave ? "_unwritten" : ""}`;
    const values = leave ? { values: { [service]: { [TARGETS[0].cluster]: "" } } } : {};
    const filter = wasmFilter({
      vmId: name,
      path: ballast,
      configuration: ballastConfiguration(job, service, values),
      failurePolicy: "FAIL_RELOAD",
    });
    return {
      name,
      what: `Ballast: ${jobWords(job)}, ${percent}/${100 - percent}${leave ? ", the larger share not written" : ""}`,
      expect: share === 1 ? "first" : "sticky",
      share,
      job,
      modes: BOTH,
      quick: false,
      needs: "ballast",
      listener: (port, mode) =>
        listener({ name: `${name}_${mode}`, port, mode, steering: "header_or_first", filters: [filter] }),
    };
  });
}

function jobName(job: Job): string {
  return `${job.service === "header" ? "" : `_${job.service}`}${job.session ? "" : "_no_session"}`;
}

function jobWords(job: Job): string {
  const from = { header: "service from a header", fixed: "service fixed", route: "service from the route name" }[
    job.service
  ];
  return `${from}, ${job.session ? "session by cookie" : "no session"}`;
}

function steeredRow(kind: string, title: string, job: Job, quick: boolean, filter: (vmId: string) => object): Row {
  const name = `${kind}${jobName(job)}`;
  return {
    name,
    what: `${title}: ${jobWords(job)}`,
    job,
    expect: job.session ? "sticky" : "split",
    modes: BOTH,
    quick,
    listener: (port, mode) =>
      listener({ name: `${name}_${mode}`, port, mode, steering: "header", filters: [filter(name)] }),
  };
}

function routeRow(name: string, what: string, expect: Row["expect"], modes: readonly Mode[], steering: Steering): Row {
  return {
    name,
    what,
    expect,
    modes,
    quick: true,
    listener: (port, mode) => listener({ name: `${name}_${mode}`, port, mode, steering, filters: [] }),
  };
}

function bareRow(name: string, what: string, module: string): Row {
  const path = join(PEERS, "bare", module);
  const filter = (vmId: string): object => wasmFilter({ vmId, path, configuration: "" });
  return {
    name,
    what,
    expect: name === "write" ? "first" : "split",
    modes: BOTH,
    quick: true,
    listener: (port, mode) =>
      listener({ name: `${name}_${mode}`, port, mode, steering: "header", filters: [filter(name)] }),
  };
}

const FULL: Job = { service: "header", session: true };
const JOBS: readonly Job[] = [
  FULL,
  { service: "fixed", session: true },
  { service: "header", session: false },
  { service: "fixed", session: false },
];
const BALLAST_JOBS: readonly Job[] = [
  ...JOBS,
  { service: "route", session: true },
  { service: "route", session: false },
];

/** All rows for the modules that could be had. */
export function allRows(modules: { ballast: string | undefined; goSdk: string | undefined }): Row[] {
  const rows: Row[] = [
    routeRow("none", "no filter, one cluster", "first", BOTH, "none"),
    routeRow("native", "Envoy's weighted_clusters, a random number per request", "split", ["forward"], {
      route: WEIGHTED,
    }),
    routeRow("hash_policy", "weighted_clusters with use_hash_policy on the session cookie", "sticky", ["forward"], {
      route: HASHED,
    }),
    {
      ...routeRow("dynamic_module", `dynamic-module cluster specifier in C: ${jobWords(FULL)}`, "sticky", ["forward"], {
        route: dynamicModule(peerConfiguration(FULL)),
      }),
      needs: "dynamic_module",
      job: FULL,
    },
    bareRow("empty", "Envoy's price of a Wasm filter: an empty callback", "empty.wasm"),
    bareRow("write", "Envoy's price of steering by a header: one write, no pick", "write.wasm"),
    {
      name: "strip",
      what: "no filter, the client's own header stripped by early header mutation",
      expect: "first",
      modes: BOTH,
      quick: false,
      listener: (port, mode) =>
        listener({ name: `strip_${mode}`, port, mode, steering: "none", filters: [], strip: true }),
    },
  ];
  for (const job of JOBS) {
    const quick = job === FULL;
    const configuration = peerConfiguration(job);
    rows.push(
      steeredRow("lua", "Lua", job, job.session, () => luaFilter(luaSource(job))),
      steeredRow("rust", "Rust SDK", job, quick, (vmId) =>
        wasmFilter({ vmId, path: join(PEERS, "rust/steer.wasm"), configuration }),
      ),
      steeredRow("solo", "@solo-io/proxy-runtime", job, quick, (vmId) =>
        wasmFilter({ vmId, path: join(PEERS, "solo/steer.wasm"), configuration }),
      ),
    );
  }
  rows.push({
    ...steeredRow("ext_proc", "ext_proc service in Go", FULL, true, () => extProcFilter("ext_proc")),
    needs: "ext_proc",
  });
  const { ballast, goSdk } = modules;
  if (goSdk !== undefined) {
    // Not in quick runs: V8 compiles its 2.4 MB for seconds.
    const row = steeredRow("go_sdk", "Go SDK, Go's own compiler", FULL, false, (vmId) =>
      wasmFilter({ vmId, path: goSdk, configuration: peerConfiguration(FULL) }),
    );
    rows.push({ ...row, needs: "go_sdk" });
  }
  if (ballast !== undefined) {
    for (const job of BALLAST_JOBS) {
      const row = steeredRow("ballast", "Ballast", job, job.session, (vmId) =>
        wasmFilter({
          vmId,
          path: ballast,
          configuration: ballastConfiguration(job),
          failurePolicy: "FAIL_RELOAD",
        }),
      );
      rows.push({ ...row, needs: "ballast" });
    }
    for (const service of ["payments", "quotes", "ledger"]) {
      const slots = OTHER_SPLITS[service] ?? TARGETS[0].slots;
      rows.push(...unwrittenRows(service, slots / 1024, ballast));
    }
  }
  return rows;
}
