import type { PeerCertificate } from "node:tls";
import { BallastError } from "../../common/errors.ts";

/**
 * Who may speak for which node: patterns over the subject alternative names of a client's certificate, `URI:` or `DNS:` in
 * front. `{fleet}` and `{node}` each stand for one part of the name and must equal the server's fleet and the node's id; `*`
 * stands for one part that does not matter. A pattern without `{node}` speaks for every node of the fleet, one without
 * `{fleet}` for this server's fleet. Parts end at `/` in a URI and at `.` in a DNS name.
 */
export const DEFAULT_IDENTITIES: readonly string[] = [
  "URI:spiffe://*/fleet/{fleet}/node/{node}",
  "URI:spiffe://*/fleet/{fleet}",
];

/** Names of one certificate that are looked at; more are ignored. */
const MAX_NAMES = 64;

export class IdentityPolicy {
  readonly #patterns: readonly RegExp[];
  readonly #fleet: string;

  /** Throws USAGE for a pattern that is not `URI:…` or `DNS:…`, or names a part twice. */
  constructor(fleet: string, patterns: readonly string[] = DEFAULT_IDENTITIES) {
    this.#fleet = fleet;
    this.#patterns = patterns.map(compile);
  }

  /** Null when the certificate allows this node in this fleet, else why not, fit for the client's log. */
  refusal(certificate: PeerCertificate | null, nodeId: string, nodeFleet: string): string | null {
    if (certificate === null) return "no client certificate was shown";
    const names = alternativeNames(certificate.subjectaltname ?? "");
    let foreign: string | null = null;
    for (const name of names) {
      for (const pattern of this.#patterns) {
        const match = pattern.exec(name);
        if (match === null) continue;
        const { fleet = this.#fleet, node = nodeId } = match.groups ?? {};
        if (fleet !== this.#fleet || nodeFleet !== this.#fleet) foreign ??= `${name} is not of fleet ${this.#fleet}`;
        else if (node !== nodeId) foreign ??= `${name} does not speak for node ${nodeId}`;
        else return null;
      }
    }
    return foreign ?? "no name of the certificate is a node's identity";
  }
}

function compile(pattern: string): RegExp {
  const kind = /^(URI|DNS):./.exec(pattern)?.[1];
  if (kind === undefined) throw new BallastError("USAGE", `identity ${JSON.stringify(pattern)} is not URI:… or DNS:…`);
  const part = kind === "URI" ? "[^/]+" : "[^.]+";
  for (const name of ["{fleet}", "{node}"]) {
    if (pattern.split(name).length > 2) throw new BallastError("USAGE", `identity ${pattern} names ${name} twice`);
  }
  const source = pattern
    .split(/(\{fleet\}|\{node\}|\*)/)
    .map((piece) => {
      if (piece === "{fleet}") return `(?<fleet>${part})`;
      if (piece === "{node}") return `(?<node>${part})`;
      if (piece === "*") return part;
      return piece.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
    })
    .join("");
  // DNS names are compared without regard to case (RFC 4343).
  return new RegExp(`^${source}$`, kind === "DNS" ? "i" : "");
}

/**
 * `URI:…, DNS:…` as node:tls prints it. A name with a comma or quote in it is printed as a JSON string, so that none can pretend to
 * be two (CVE-2021-44532): these are left out, no identity has one.
 */
function alternativeNames(text: string): string[] {
  const names: string[] = [];
  for (const [name] of text.matchAll(/(?:URI|DNS):(?:"(?:[^"\\]|\\.)*"|[^,"]+)/g)) {
    if (!name.includes('"')) names.push(name);
    if (names.length === MAX_NAMES) break;
  }
  return names;
}
