import * as v from "./values.ts";
import { REQUIRED, type Section } from "./yaml-reader.ts";

/** Section `tickets`: the ticket system that changes are followed in (docs/reference/tickets.md). */
export interface TicketsConfig {
  servicenow: ServiceNowConfig;
  /** ticket: only approvals given there count.   either: Ballast's own as well. */
  approvals: "ticket" | "either";
  /** What a normal change does while the ticket system cannot be asked. Emergencies never wait. */
  whenDown: "hold" | "proceed";
  /** What a normal change does when its conflict check finds something. */
  onConflict: "hold" | "ask";
  pollEveryMs: number;
  /** Planned length of a change that goes out at once. */
  windowMs: number;
}

export interface ServiceNowConfig {
  /** Without a slash at the end. */
  url: string;
  auth: ServiceNowAuth;
  standardTemplate: string | null;
  assignmentGroup: string | null;
  timeoutMs: number;
  checkTimeoutMs: number;
}

/** Where a secret is. Never the secret: ballast.yaml is copied into repositories, logs and messages. */
export type SecretRef = { env: string } | { file: string };

export type ServiceNowAuth =
  | { kind: "basic"; user: string; password: SecretRef }
  | { kind: "oauth"; user: string; password: SecretRef; clientId: string; clientSecret: SecretRef }
  | { kind: "bearer"; token: SecretRef };

export const TICKETS_FIELDS = {
  tickets: ["servicenow", "approvals", "whenDown", "onConflict", "pollEvery", "window"],
  "tickets.servicenow": [
    "url",
    "user",
    "passwordEnv",
    "passwordFile",
    "clientId",
    "clientSecretEnv",
    "clientSecretFile",
    "tokenEnv",
    "tokenFile",
    "standardTemplate",
    "assignmentGroup",
    "timeout",
    "checkTimeout",
  ],
} as const;

const SECRETS = ["password", "clientSecret", "token"] as const;
type Secret = (typeof SECRETS)[number];

const path = v.text("a path");
const user = v.text("the name of an account", 128);

const envName: v.ValueKind<string> = {
  expected: "the name of an environment variable such as BALLAST_TICKETS_PASSWORD",
  parse: (text) => (/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text) ? text : undefined),
};

const sysId: v.ValueKind<string> = {
  expected: "a sys_id of 32 hex digits",
  parse: (text) => (/^[0-9a-f]{32}$/i.test(text) ? text.toLowerCase() : undefined),
};

/** Credentials go along with every call: clear text is for loopback alone. */
const instanceUrl: v.ValueKind<string> = {
  expected: "the base URL of an instance such as https://example.service-now.com; http is for loopback only",
  parse: (text) => {
    const url = v.adminUrl.parse(text);
    return url !== undefined && new URL(url).pathname === "/" ? url : undefined;
  },
};

/** Null: no ticket system. Undefined when it is wrong; then the reader holds the reason. */
export function readTickets(root: Section): TicketsConfig | null | undefined {
  if (!root.has("tickets")) return null;
  const section = root.section("tickets", TICKETS_FIELDS.tickets);
  if (section === undefined) return undefined;
  const servicenow = readServiceNow(section);
  const approvals = section.value("approvals", v.oneOf("ticket", "either"), "ticket");
  const whenDown = section.value("whenDown", v.oneOf("hold", "proceed"), "hold");
  const onConflict = section.value("onConflict", v.oneOf("hold", "ask"), "hold");
  const poll = v.duration({ minMs: 1_000, maxMs: 3_600_000, range: "1s to 1h" });
  const pollEveryMs = section.value("pollEvery", poll, 30_000);
  const length = v.duration({ minMs: 60_000, maxMs: 7 * 86_400_000, range: "1m to 7d" });
  const windowMs = section.value("window", length, 3_600_000);
  if (servicenow === undefined || approvals === undefined || whenDown === undefined) return undefined;
  if (onConflict === undefined || pollEveryMs === undefined || windowMs === undefined) return undefined;
  return { servicenow, approvals, whenDown, onConflict, pollEveryMs, windowMs };
}

function readServiceNow(parent: Section): ServiceNowConfig | undefined {
  const section = parent.section("servicenow", [...TICKETS_FIELDS["tickets.servicenow"], ...SECRETS], REQUIRED);
  if (section === undefined) return undefined;
  for (const secret of SECRETS) {
    if (section.has(secret))
      section.rejectKey(secret, "a secret", `${secret}Env or ${secret}File: secrets stay out of this file`);
  }
  const url = section.value("url", instanceUrl, REQUIRED);
  const auth = readAuth(section);
  const standardTemplate = section.has("standardTemplate") ? section.value("standardTemplate", sysId, REQUIRED) : null;
  const assignmentGroup = section.has("assignmentGroup") ? section.value("assignmentGroup", sysId, REQUIRED) : null;
  const timeout = v.duration({ minMs: 100, maxMs: 120_000, range: "100ms to 2m" });
  const timeoutMs = section.value("timeout", timeout, 10_000);
  const check = v.duration({ minMs: 1_000, maxMs: 1_800_000, range: "1s to 30m" });
  const checkTimeoutMs = section.value("checkTimeout", check, 60_000);
  if (url === undefined || auth === undefined || standardTemplate === undefined || assignmentGroup === undefined) {
    return undefined;
  }
  if (timeoutMs === undefined || checkTimeoutMs === undefined) return undefined;
  return { url, auth, standardTemplate, assignmentGroup, timeoutMs, checkTimeoutMs };
}

function readAuth(section: Section): ServiceNowAuth | undefined {
  const given = (secret: Secret) => section.has(`${secret}Env`) || section.has(`${secret}File`);
  if (given("token")) {
    for (const name of ["user", "clientId"]) {
      if (section.has(name)) section.reject(name, `both a token and ${name}`, "one way to sign in");
    }
    const token = readSecret(section, "token");
    return token === undefined ? undefined : { kind: "bearer", token };
  }
  const account = section.value("user", user, REQUIRED);
  const password = readSecret(section, "password");
  if (!section.has("clientId") && !given("clientSecret")) {
    return account === undefined || password === undefined ? undefined : { kind: "basic", user: account, password };
  }
  const clientId = section.value("clientId", user, REQUIRED);
  const clientSecret = readSecret(section, "clientSecret");
  if (account === undefined || password === undefined || clientId === undefined || clientSecret === undefined)
    return undefined;
  return { kind: "oauth", user: account, password, clientId, clientSecret };
}

function readSecret(section: Section, secret: Secret): SecretRef | undefined {
  const [byEnv, byFile] = [section.has(`${secret}Env`), section.has(`${secret}File`)];
  if (byEnv === byFile) {
    const found = byEnv ? `both ${secret}Env and ${secret}File` : `no ${secret}`;
    section.reject(byEnv ? `${secret}File` : undefined, found, `${secret}Env or ${secret}File`);
    return undefined;
  }
  if (byEnv) {
    const env = section.value(`${secret}Env`, envName, REQUIRED);
    return env === undefined ? undefined : { env };
  }
  const file = section.value(`${secret}File`, path, REQUIRED);
  return file === undefined ? undefined : { file };
}
