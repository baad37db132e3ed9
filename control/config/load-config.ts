import { readFile, stat } from "node:fs/promises";
import { BallastError } from "../../common/errors.ts";
import { ACCESS_FIELDS, readAccess, readTls, readXdsTls } from "./access.ts";
import { CHANGE_CONTROL_FIELDS, readChangeControl } from "./change-control.ts";
import { checkBounds } from "./check-bounds.ts";
import type { BallastConfig, Policy, ServiceConfig, TargetConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { FORECAST_FIELDS, readForecast } from "./forecast.ts";
import { POLICY_FIELDS, readPolicy } from "./policy.ts";
import { ROLLOUT_FIELDS, readObjective, readRollout } from "./rollout.ts";
import { readStore, STORE_FIELDS } from "./store.ts";
import { readTickets, TICKETS_FIELDS } from "./tickets.ts";
import * as v from "./values.ts";
import { REQUIRED, type Section, YamlReader } from "./yaml-reader.ts";

/** The filter's own limits (docs/reference/weight-table.md). */
export const MAX_SERVICES = 1024;
export const MAX_TARGETS = 255;
const MAX_FILE_BYTES = 1 << 20;
const MAX_ADMIN_URLS = 256;
const DAY_MS = 86_400_000;

/** Every field of every section, in the order of docs/reference/ballast-yaml.md. */
export const FIELDS = {
  "": [
    "version",
    "fleet",
    "clock",
    "server",
    "store",
    "envoy",
    "estate",
    "history",
    "model",
    "forecast",
    "riskModel",
    "tables",
    "policy",
    "changeControl",
    "rollout",
    "tickets",
    "access",
    "services",
  ],
  clock: ["start", "rate"],
  server: ["xds", "xdsTls", "api", "apiTls", "lease"],
  ...STORE_FIELDS,
  envoy: ["admin"],
  estate: ["servicenow", "maxAge"],
  history: ["csv", "step"],
  ...FORECAST_FIELDS,
  tables: ["slots"],
  policy: POLICY_FIELDS,
  ...CHANGE_CONTROL_FIELDS,
  ...ROLLOUT_FIELDS,
  ...TICKETS_FIELDS,
  ...ACCESS_FIELDS,
  service: ["ci", "mode", "steering", "sessions", "capacity", "objective", "policy", "targets"],
  sessions: ["moveBefore"],
  capacity: ["rpsPerCore", "referenceMhz", "reading"],
  target: ["ci", "base", "capacityRps"],
} as const;

/**
 * Reads and checks a ballast.yaml.
 * Throws ConfigError (CONFIG_INVALID) with all mistakes of the file at once, or CONFIG_UNREADABLE when there is no such file.
 */
export async function loadConfig(path: string): Promise<BallastConfig> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) {
      throw new BallastError("CONFIG_UNREADABLE", `the file has ${size} bytes; at most ${MAX_FILE_BYTES} are read`, {
        position: { file: path },
      });
    }
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof BallastError) throw cause;
    throw new BallastError("CONFIG_UNREADABLE", cause instanceof Error ? cause.message : String(cause), {
      position: { file: path },
      cause,
    });
  }
  return parseConfig(text, path);
}

/** The pure half of loadConfig; `file` is only named in messages. */
export function parseConfig(text: string, file: string): BallastConfig {
  const reader = new YamlReader(file, text);
  const root = reader.root(FIELDS[""]);
  const config = root === undefined ? undefined : readDocument(root, file);
  if (reader.problems.length > 0) throw new ConfigError(file, reader.problems);
  if (config === undefined) throw new Error("a document without problems must give a configuration");
  return config;
}

const path = v.text("a path");

/** Undefined when anything is missing; then the reader holds the reason. */
function readDocument(root: Section, file: string): BallastConfig | undefined {
  const version = root.value(
    "version",
    { expected: "1", parse: (t) => (t === "1" ? (1 as const) : undefined) },
    REQUIRED,
  );
  const fleet = root.value("fleet", v.name, REQUIRED);
  const clock = readClock(root);
  const server = readServer(root);
  const store = readStore(root);
  const envoy = root.section("envoy", FIELDS.envoy);
  const admin = envoy === undefined ? [] : envoy.list("admin", v.adminUrl, MAX_ADMIN_URLS);
  const estate = root.section("estate", FIELDS.estate, REQUIRED);
  const servicenow = estate?.value("servicenow", path, REQUIRED);
  const maxAgeMs = estate?.value(
    "maxAge",
    v.duration({ minMs: 1000, maxMs: 365 * DAY_MS, range: "1s to 365d" }),
    7 * DAY_MS,
  );
  const history = readHistory(root);
  const model = root.has("model") ? root.value("model", path, REQUIRED) : null;
  const forecast = readForecast(root);
  const riskModel = root.has("riskModel") ? root.value("riskModel", path, REQUIRED) : null;
  const tables = root.section("tables", FIELDS.tables);
  const slots = tables === undefined ? 1024 : tables.value("slots", v.slots, 1024);
  const policySection = root.section("policy", FIELDS.policy);
  const policy = readPolicy(policySection, null);
  const services = readServices(root, policy, policySection);
  const changeControl = readChangeControl(root, services ?? null);
  const rollout = readRollout(root);
  const ticketSystem = readTickets(root);
  const access = readAccess(root);

  const complete =
    version !== undefined && fleet !== undefined && clock !== undefined && server !== undefined && store !== undefined;
  const rest = admin !== undefined && servicenow !== undefined && history !== undefined && model !== undefined;
  if (changeControl === undefined || access === undefined || maxAgeMs === undefined) return undefined;
  if (ticketSystem === undefined || rollout === undefined || forecast === undefined) return undefined;
  if (riskModel === undefined) return undefined;
  if (
    !complete ||
    !rest ||
    estate === undefined ||
    slots === undefined ||
    services === undefined ||
    !isComplete(policy)
  )
    return undefined;
  return {
    file,
    version,
    fleet,
    clock,
    server,
    store,
    envoy: { admin },
    estate: { servicenow, servicenowPosition: estate.positionOf("servicenow"), maxAgeMs },
    history,
    model,
    forecast,
    riskModel,
    tables: { slots },
    policy,
    changeControl,
    rollout,
    tickets: ticketSystem,
    access,
    services,
  };
}

function readClock(root: Section): BallastConfig["clock"] | undefined {
  if (!root.has("clock")) return null;
  const section = root.section("clock", FIELDS.clock);
  if (section === undefined) return undefined;
  const startMs = section.value("start", v.instant, REQUIRED);
  const rate = section.value("rate", v.numberBetween(0.001, 100_000, "a factor from 0.001 to 100000"), 1);
  return startMs === undefined || rate === undefined ? undefined : { startMs, rate };
}

const DEFAULT_LEASE_MS = 10_000;

function readServer(root: Section): BallastConfig["server"] | undefined {
  const defaults = {
    xds: { host: "127.0.0.1", port: 18_000 },
    api: { host: "127.0.0.1", port: 18_001 },
    xdsTls: null,
    apiTls: null,
    leaseMs: DEFAULT_LEASE_MS,
  };
  if (!root.has("server")) return defaults;
  const section = root.section("server", FIELDS.server);
  if (section === undefined) return undefined;
  const xdsTls = readXdsTls(section);
  const xds = section.value("xds", xdsTls === null ? v.listenAddress : v.tlsListenAddress, defaults.xds);
  const apiTls = readTls(section);
  const api = section.value("api", apiTls === null ? v.listenAddress : v.tlsListenAddress, defaults.api);
  const lease = v.duration({ minMs: 2_000, maxMs: 60_000, range: "2s to 1m" });
  const leaseMs = section.value("lease", lease, DEFAULT_LEASE_MS);
  if (xds === undefined || xdsTls === undefined || api === undefined || apiTls === undefined) return undefined;
  if (leaseMs === undefined) return undefined;
  if (xds.port !== 0 && xds.port === api.port) {
    section.reject(section.has("api") ? "api" : "xds", `port ${api.port} for both xds and api`, "two different ports");
  }
  return { xds, xdsTls, api, apiTls, leaseMs };
}

function readHistory(root: Section): BallastConfig["history"] | undefined {
  if (!root.has("history")) return null;
  const section = root.section("history", FIELDS.history);
  if (section === undefined) return undefined;
  const csv = section.value("csv", path, REQUIRED);
  const step: v.ValueKind<number> = v.duration({
    minMs: 1000,
    maxMs: 3_600_000,
    range: "1s to 1h, a whole part of a day",
  });
  const whole = { ...step, parse: (text: string) => dividesDay(step.parse(text)) };
  const stepMs = section.value("step", whole, 300_000);
  if (csv === undefined || stepMs === undefined) return undefined;
  return { csv, csvPosition: section.positionOf("csv"), stepMs };
}

function dividesDay(ms: number | undefined): number | undefined {
  return ms !== undefined && DAY_MS % ms === 0 ? ms : undefined;
}

function readServices(
  root: Section,
  base: Partial<Policy>,
  policySection: Section | undefined,
): Map<string, ServiceConfig> | undefined {
  const section = root.section("services", null, REQUIRED);
  if (section === undefined) return undefined;
  const names = section.names();
  if (names.length === 0 || names.length > MAX_SERVICES) {
    section.reject(undefined, `${names.length} services`, `1 to ${MAX_SERVICES} services`);
  }
  const services = new Map<string, ServiceConfig>();
  const ownerOf = new Map<string, string>();
  for (const name of names) {
    checkName(section, name);
    const service = section.section(name, FIELDS.service);
    const read = service === undefined ? undefined : readService(service, name, base, policySection, ownerOf);
    if (read !== undefined) services.set(name, read);
  }
  return services.size === names.length ? services : undefined;
}

function readService(
  section: Section,
  name: string,
  base: Partial<Policy>,
  policySection: Section | undefined,
  ownerOf: Map<string, string>,
): ServiceConfig | undefined {
  const ci = section.value("ci", v.text("the name or sys_id of a CI", 256), REQUIRED);
  const mode = section.value("mode", v.oneOf("observe", "steer"), "observe");
  const steering = section.value("steering", v.oneOf("header_route", "exact_routes", "header_name"), "header_route");
  const objective = readObjective(section);
  const ownPolicy = section.section("policy", FIELDS.policy);
  const policy = readPolicy(ownPolicy, base);
  const sessionsSection = section.section("sessions", FIELDS.sessions);
  const moveBeforeMs = sessionsSection?.value("moveBefore", v.duration(moveBefore), policy.leadTimeMs ?? 0);
  const capacitySection = section.section("capacity", FIELDS.capacity);
  const capacity = {
    rpsPerCore: capacitySection === undefined ? 10 : capacitySection.value("rpsPerCore", rpsPerCore, 10),
    referenceMhz: capacitySection === undefined ? 2500 : capacitySection.value("referenceMhz", mhz, 2500),
    readingMs: capacitySection === undefined ? 10_000 : capacitySection.value("reading", reading, 10_000),
  };
  const targetsSection = section.section("targets", null, REQUIRED);
  const targets = targetsSection === undefined ? undefined : readTargets(targetsSection, name, ownerOf);
  if (targetsSection !== undefined) {
    checkBounds({
      service: section,
      policySection,
      ownPolicy,
      targetsSection,
      targets,
      policy,
      sessionsSection,
      moveBeforeMs,
    });
  }
  const { rpsPerCore: perCore, referenceMhz, readingMs } = capacity;
  if (ci === undefined || mode === undefined || steering === undefined || targets === undefined || !isComplete(policy))
    return undefined;
  if (perCore === undefined || referenceMhz === undefined || readingMs === undefined) return undefined;
  if (objective === undefined) return undefined;
  if (section.has("sessions") && moveBeforeMs === undefined) return undefined;
  return {
    name,
    ci,
    ciPosition: section.positionOf("ci"),
    mode,
    steering,
    sessions: moveBeforeMs === undefined ? null : { moveBeforeMs },
    capacity: { rpsPerCore: perCore, referenceMhz, readingMs },
    objective,
    policy,
    targets,
  };
}

const moveBefore = { minMs: 0, maxMs: 7 * DAY_MS, range: "at most 7d" };
const rpsPerCore = v.numberBetween(0, 1e9, "requests per second of one core, above 0", true);
const mhz = v.numberBetween(100, 100_000, "a clock speed in MHz from 100 to 100000");
const reading = v.duration({ minMs: 1_000, maxMs: 60_000, range: "1s to 1m" });
const capacityRps = v.numberBetween(0, 1e9, "requests per second, above 0", true);

/** Undefined when any target could not be read. */
function readTargets(
  section: Section,
  service: string,
  ownerOf: Map<string, string>,
): Map<string, TargetConfig> | undefined {
  const names = section.names();
  if (names.length === 0 || names.length > MAX_TARGETS) {
    section.reject(undefined, `${names.length} targets`, `1 to ${MAX_TARGETS} targets`);
  }
  const targets = new Map<string, TargetConfig>();
  for (const name of names) {
    checkName(section, name);
    const owner = ownerOf.get(name);
    if (owner !== undefined) {
      section.reject(name, `target ${JSON.stringify(name)}, which ${owner} has too`, "a target in one service only");
    }
    ownerOf.set(name, `service ${JSON.stringify(service)}`);
    const target = section.section(name, FIELDS.target);
    const ci = target?.value("ci", v.text("the name or sys_id of a CI", 256), REQUIRED);
    const basePpm = target?.value("base", v.share, REQUIRED);
    const rps = target?.has("capacityRps") ? target.value("capacityRps", capacityRps, REQUIRED) : null;
    if (target === undefined || ci === undefined || basePpm === undefined || rps === undefined) continue;
    targets.set(name, { name, ci, ciPosition: target.positionOf("ci"), basePpm, capacityRps: rps });
  }
  return targets.size === names.length ? targets : undefined;
}

function checkName(section: Section, name: string): void {
  if (v.NAME_PATTERN.test(name)) return;
  section.rejectKey(name, JSON.stringify(name.slice(0, 140)), v.name.expected);
}

function isComplete(policy: Partial<Policy>): policy is Policy {
  return Object.values(policy).every((value) => value !== undefined);
}
