import { isIP } from "node:net";
import { join } from "node:path";
import * as v from "./values.ts";
import { REQUIRED, type Section } from "./yaml-reader.ts";

/** Where checkpoints are kept. With `nats` not null no SQLite file is opened; files of this server alone lie beside `sqlite`. */
export interface StoreConfig {
  sqlite: string;
  nats: NatsStoreConfig | null;
}

/** NATS JetStream; meanings and limits in control/checkpoint/nats/nats-options.ts. */
export interface NatsStoreConfig {
  servers: readonly string[];
  monitors: readonly string[];
  name: string;
  replicas: 1 | 3 | 5;
  credentialsFile: string | null;
  tls: { caFile: string | null; certFile: string | null; keyFile: string | null } | null;
  timeoutMs: number;
  /** 0: no limit of its own. */
  maxBytes: number;
  allowFewReplicas: boolean;
  allowUnsynced: boolean;
}

export const STORE_FIELDS = {
  store: ["sqlite", "nats"],
  "store.nats": [
    "servers",
    "monitor",
    "name",
    "replicas",
    "credentialsFile",
    "tls",
    "timeout",
    "maxBytes",
    "folder",
    "allowFewReplicas",
    "allowUnsynced",
    "allowClearText",
  ],
  "store.nats.tls": ["ca", "cert", "key"],
} as const;

const SQLITE_FILE = "ballast.db";
const DEFAULT_FOLDER = ".ballast";
export const DEFAULT_SQLITE = join(DEFAULT_FOLDER, SQLITE_FILE);
/** Servers of one cluster. */
const MAX_SERVERS = 32;
const path = v.text("a path");

const yesNo: v.ValueKind<boolean> = {
  expected: "true or false",
  parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
};

const replicas: v.ValueKind<1 | 3 | 5> = {
  expected: "1, 3 or 5",
  parse: (text) => ([1, 3, 5] as const).find((n) => `${n}` === text),
};

const storeName: v.ValueKind<string> = {
  expected: "a name of 1 to 32 of the characters A-Z a-z 0-9 _ -",
  parse: (text) => (/^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : undefined),
};

const maxBytes: v.ValueKind<number> = {
  expected: "a whole number of bytes, 0 (no limit) or at least 1048576",
  parse: (text) => {
    if (!/^\d{1,15}$/.test(text)) return undefined;
    const bytes = Number(text);
    return bytes === 0 || bytes >= 1_048_576 ? bytes : undefined;
  },
};

/** Addresses with a scheme of `clear` or `secure`; clear text towards another machine only when that was allowed. */
function address(clear: string, secure: string, clearAllowed: boolean): v.ValueKind<string> {
  const elsewhere = clearAllowed
    ? ""
    : `; ${clear} is for loopback only, other hosts need ${secure}${secure === "tls" ? " and a host name" : ""} or allowClearText`;
  return {
    expected: `an address such as ${clear}://127.0.0.1:${clear === "nats" ? 4222 : 8222}${elsewhere}`,
    parse(value) {
      if (value.length > 1024 || !URL.canParse(value)) return undefined;
      const url = new URL(value);
      // Secrets belong into the credentials file, which is not copied into logs and messages.
      if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "" || url.host === "") {
        return undefined;
      }
      // The NATS client checks a certificate by name only: at an address it would accept one for `localhost`.
      if (url.protocol === "tls:" && isIP(url.hostname.replace(/^\[|\]$/g, "")) !== 0) return undefined;
      const isClear = url.protocol === `${clear}:`;
      if (!isClear && url.protocol !== `${secure}:`) return undefined;
      const host = url.hostname.replace(/^\[|\]$/g, "");
      return isClear && !clearAllowed && !v.isLoopback(host) ? undefined : value.replace(/\/+$/, "");
    },
  };
}

/** Undefined when it is wrong; then the reader holds the reason. */
export function readStore(root: Section): StoreConfig | undefined {
  if (!root.has("store")) return { sqlite: DEFAULT_SQLITE, nats: null };
  const section = root.section("store", STORE_FIELDS.store);
  if (section === undefined) return undefined;
  if (!section.has("nats")) {
    const sqlite = section.value("sqlite", path, REQUIRED);
    return sqlite === undefined ? undefined : { sqlite, nats: null };
  }
  if (section.has("sqlite")) section.reject("sqlite", "both sqlite and nats", "one of them");
  const at = section.section("nats", STORE_FIELDS["store.nats"]);
  if (at === undefined) return undefined;
  const folder = at.value("folder", path, DEFAULT_FOLDER);
  const nats = readNats(at);
  return nats === undefined || folder === undefined ? undefined : { sqlite: join(folder, SQLITE_FILE), nats };
}

function readNats(section: Section): NatsStoreConfig | undefined {
  const clear = section.value("allowClearText", yesNo, false) ?? false;
  const servers = section.list("servers", address("nats", "tls", clear), MAX_SERVERS);
  const monitors = section.list("monitor", address("http", "https", clear), MAX_SERVERS);
  const name = section.value("name", storeName, "ballast");
  const count = section.value("replicas", replicas, 3);
  const timeout = v.duration({ minMs: 500, maxMs: 60_000, range: "500ms to 1m" });
  const timeoutMs = section.value("timeout", timeout, 5_000);
  const bytes = section.value("maxBytes", maxBytes, 0);
  const allowFewReplicas = section.value("allowFewReplicas", yesNo, false);
  const allowUnsynced = section.value("allowUnsynced", yesNo, false);
  const credentialsFile = section.has("credentialsFile") ? section.value("credentialsFile", path, REQUIRED) : null;
  const tls = readTls(section);
  if (servers?.length === 0) section.reject("servers", "no server", "the addresses of the NATS servers");
  if (count !== undefined && count < 3 && allowFewReplicas === false) {
    section.reject("replicas", `${count}`, "3 or 5; for development 1 with `allowFewReplicas: true`");
  }
  if (monitors !== undefined && count !== undefined && monitors.length < count && allowUnsynced === false) {
    const expected = `the monitoring address of each server, at least ${count}, or \`allowUnsynced: true\``;
    section.reject("monitor", `${monitors.length} addresses`, expected);
  }
  if (servers === undefined || monitors === undefined || name === undefined || count === undefined) return undefined;
  if (timeoutMs === undefined || bytes === undefined || credentialsFile === undefined || tls === undefined) {
    return undefined;
  }
  if (allowFewReplicas === undefined || allowUnsynced === undefined) return undefined;
  return {
    servers,
    monitors,
    name,
    replicas: count,
    credentialsFile,
    tls,
    timeoutMs,
    maxBytes: bytes,
    allowFewReplicas,
    allowUnsynced,
  };
}

function readTls(parent: Section): NatsStoreConfig["tls"] | undefined {
  if (!parent.has("tls")) return null;
  const section = parent.section("tls", STORE_FIELDS["store.nats.tls"]);
  if (section === undefined) return undefined;
  const [caFile, certFile, keyFile] = (["ca", "cert", "key"] as const).map((field) =>
    section.has(field) ? section.value(field, path, REQUIRED) : null,
  );
  if (caFile === undefined || certFile === undefined || keyFile === undefined) return undefined;
  if ((certFile === null) !== (keyFile === null)) {
    section.reject(certFile === null ? "key" : "cert", "one of cert and key", "both, or neither");
  }
  return { caFile, certFile, keyFile };
}
