import * as v from "./values.ts";
import { REQUIRED, type Section } from "./yaml-reader.ts";

/** What a caller of the HTTP API may do (docs/reference/api.md#roles). Every role includes viewer. */
export type Role = "viewer" | "operator" | "approver";

export interface Grant {
  /** Stands in records as author or approver. */
  name: string;
  roles: readonly Role[];
}

/** Section `access`: who may call the HTTP API. Empty on loopback: everybody on this machine, under the name they give. */
export interface Access {
  tokens: readonly (Grant & { sha256: string })[];
  tokenFile: string | null;
  /** Subject alternative names of client certificates: `spiffe://…` or a DNS name. */
  identities: readonly (Grant & { san: string })[];
}

export interface TlsFiles {
  cert: string;
  key: string;
  /** Client certificates signed by it are asked for and trusted; null: none are asked for. */
  clientCa: string | null;
}

/** TLS of the gRPC server. */
export interface XdsTlsFiles extends TlsFiles {
  /** Which certificate speaks for which node (patterns of control/xds/identity.ts); null: SPIFFE ids as documented. */
  identities: readonly string[] | null;
}

export const ACCESS_FIELDS = {
  access: ["tokens", "tokenFile", "identities"],
  "access.tokens.NAME": ["roles", "sha256"],
  "access.identities.NAME": ["roles", "san"],
  "server.apiTls": ["cert", "key", "clientCa"],
  "server.xdsTls": ["cert", "key", "clientCa", "identities"],
} as const;

const MAX_GRANTS = 256;
const MAX_IDENTITIES = 16;
const role = v.oneOf("viewer", "operator", "approver");
const path = v.text("a path");
export const SHA256_HEX = /^[0-9a-f]{64}$/;

const sha256: v.ValueKind<string> = {
  expected: "the SHA-256 of the token, 64 lower-case hex digits (`ballast token` makes both)",
  parse: (text) => (SHA256_HEX.test(text) ? text : undefined),
};

const san: v.ValueKind<string> = {
  expected: "a SPIFFE id (spiffe://domain/path) or a DNS name, as in the certificate",
  parse: (text) =>
    /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/.test(text) || /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(text)
      ? text
      : undefined,
};

const identity: v.ValueKind<string> = {
  expected: "a pattern URI:spiffe://… or DNS:…, with {fleet} and {node} at most once each",
  parse: (text) => (isIdentityPattern(text) ? text : undefined),
};

/** Shape of a pattern: `URI:` or `DNS:`, then literal text with `{fleet}`, `{node}` (each at most once) and `*`. */
export function isIdentityPattern(text: string): boolean {
  const once = (name: string) => text.split(name).length <= 2;
  return /^(URI|DNS):[^\s,"]{1,512}$/.test(text) && once("{fleet}") && once("{node}");
}

export function readAccess(root: Section): Access | undefined {
  if (!root.has("access")) return { tokens: [], tokenFile: null, identities: [] };
  const section = root.section("access", ACCESS_FIELDS.access);
  if (section === undefined) return undefined;
  const tokens = readGrants(section, "tokens", "sha256", sha256);
  const identities = readGrants(section, "identities", "san", san);
  const tokenFile = section.has("tokenFile") ? section.value("tokenFile", path, REQUIRED) : null;
  if (tokens === undefined || identities === undefined || tokenFile === undefined) return undefined;
  return { tokens, tokenFile, identities };
}

function readGrants<const K extends "sha256" | "san">(
  parent: Section,
  field: "tokens" | "identities",
  key: K,
  kind: v.ValueKind<string>,
): (Grant & Record<K, string>)[] | undefined {
  if (!parent.has(field)) return [];
  const section = parent.section(field, null);
  if (section === undefined) return undefined;
  const names = section.names();
  if (names.length > MAX_GRANTS) {
    section.reject(undefined, `${names.length} names`, `at most ${MAX_GRANTS}`);
    return undefined;
  }
  const grants = names.map((name) => {
    if (!v.NAME_PATTERN.test(name)) section.rejectKey(name, JSON.stringify(name.slice(0, 140)), v.name.expected);
    const one = section.section(name, ACCESS_FIELDS[`access.${field}.NAME`]);
    const roles = one?.list("roles", role, 3);
    const proof = one?.value(key, kind, REQUIRED);
    if (one === undefined || roles === undefined || proof === undefined) return undefined;
    if (roles.length === 0) {
      one.reject("roles", "no role", "at least one of viewer, operator, approver");
      return undefined;
    }
    return { name, roles, [key]: proof } as unknown as Grant & Record<K, string>;
  });
  return grants.includes(undefined) ? undefined : (grants as (Grant & Record<K, string>)[]);
}

/** Undefined when it is wrong, null when it is not there. */
export function readTls(parent: Section): TlsFiles | null | undefined {
  if (!parent.has("apiTls")) return null;
  return readTlsFiles(parent.section("apiTls", ACCESS_FIELDS["server.apiTls"]));
}

/** As {@link readTls}. */
export function readXdsTls(parent: Section): XdsTlsFiles | null | undefined {
  if (!parent.has("xdsTls")) return null;
  const section = parent.section("xdsTls", ACCESS_FIELDS["server.xdsTls"]);
  const files = readTlsFiles(section);
  const identities = section?.has("identities") ? section.list("identities", identity, MAX_IDENTITIES) : null;
  if (section === undefined || files === undefined || identities === undefined) return undefined;
  if (identities !== null && (identities.length === 0 || files.clientCa === null)) {
    const found =
      identities.length === 0 ? "no identity" : "identities without clientCa: nobody is asked for a certificate";
    section.reject("identities", found, "clientCa and at least one identity");
    return undefined;
  }
  return { ...files, identities };
}

function readTlsFiles(section: Section | undefined): TlsFiles | undefined {
  const cert = section?.value("cert", path, REQUIRED);
  const key = section?.value("key", path, REQUIRED);
  const clientCa = section?.has("clientCa") ? section.value("clientCa", path, REQUIRED) : null;
  return cert === undefined || key === undefined || clientCa === undefined ? undefined : { cert, key, clientCa };
}
