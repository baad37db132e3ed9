import { createHash, timingSafeEqual } from "node:crypto";
import { open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { BallastError } from "../../common/errors.ts";
import { type Access, type Grant, type Role, SHA256_HEX } from "../config/access.ts";

/** Who calls. `name` null: nobody was asked, and the caller may act under any name (loopback without tokens). */
export interface Caller {
  name: string | null;
  roles: ReadonlySet<Role>;
}

const LOCAL: Caller = { name: null, roles: new Set(["viewer", "operator", "approver"]) };
const MAX_TOKEN_FILE_BYTES = 1 << 20;
const MAX_TOKEN_LENGTH = 1024;

/**
 * Tells who sends a request: by bearer token, else by client certificate. Where neither tokens nor identities are configured
 * everybody who reaches the socket is the local user; the server then listens on loopback only.
 */
export class Doorkeeper {
  readonly #tokens: readonly (Grant & { hash: Buffer })[];
  readonly #identities: ReadonlyMap<string, Caller>;

  constructor(access: Pick<Access, "tokens" | "identities">) {
    this.#tokens = access.tokens.map((grant) => ({ ...grant, hash: Buffer.from(grant.sha256, "hex") }));
    this.#identities = new Map(access.identities.map((grant) => [grant.san, callerOf(grant)]));
  }

  get asks(): boolean {
    return this.#tokens.length > 0 || this.#identities.size > 0;
  }

  /** Throws API_UNAUTHORIZED. */
  identify(request: IncomingMessage): Caller {
    if (!this.asks) return LOCAL;
    const bearer = /^Bearer ([\x21-\x7e]+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (bearer !== undefined) return this.#byToken(bearer);
    for (const name of certificateNames(request)) {
      const caller = this.#identities.get(name);
      if (caller !== undefined) return caller;
    }
    throw new BallastError("API_UNAUTHORIZED", "the call carries no known token and no known client certificate");
  }

  /** Every hash is compared, so that the time says nothing of which one was near. */
  #byToken(token: string): Caller {
    const hash = createHash("sha256")
      .update(token.slice(0, MAX_TOKEN_LENGTH + 1))
      .digest();
    let found: Caller | null = null;
    for (const grant of this.#tokens) {
      if (timingSafeEqual(grant.hash, hash)) found = callerOf(grant);
    }
    if (found === null) throw new BallastError("API_UNAUTHORIZED", "the token is not known");
    return found;
  }
}

/** Throws API_ROLE_MISSING. */
export function requireRole(caller: Caller, role: Role): void {
  if (caller.roles.has(role)) return;
  throw new BallastError("API_ROLE_MISSING", `${caller.name ?? "the caller"} does not have the role ${role}`);
}

/** The name under which a call acts: the caller's own, or for the local user the one that the body gives. */
export function actorOf(caller: Caller, given: string | undefined): string {
  if (caller.name === null) {
    if (given === undefined) throw new BallastError("API_BAD_REQUEST", "the body does not say who does it");
    return given;
  }
  if (given !== undefined && given !== caller.name) {
    throw new BallastError("API_ROLE_MISSING", `${caller.name} cannot act as ${given}`);
  }
  return caller.name;
}

/** Lines `NAME ROLE[,ROLE] SHA256`; blank lines and lines with `#` are left out. Throws TOKEN_FILE_UNSAFE. */
export async function readTokenFile(path: string): Promise<Access["tokens"]> {
  const unsafe = (what: string, line?: number) =>
    new BallastError("TOKEN_FILE_UNSAFE", what, {
      position: line === undefined ? { file: path } : { file: path, line },
    });
  // One handle for both, so that what was checked is what is read.
  const file = await open(path, "r").catch((cause: Error) => Promise.reject(unsafe(cause.message)));
  let text: string;
  try {
    const { mode, size, uid } = await file.stat();
    if ((mode & 0o077) !== 0) throw unsafe(`its mode is ${(mode & 0o777).toString(8)}: others can read or write it`);
    if (process.getuid !== undefined && uid !== process.getuid() && uid !== 0)
      throw unsafe(`it belongs to user ${uid}`);
    if (size > MAX_TOKEN_FILE_BYTES) throw unsafe(`${size} bytes; at most ${MAX_TOKEN_FILE_BYTES} are read`);
    text = await file.readFile("utf8");
  } finally {
    await file.close();
  }
  const tokens: Access["tokens"][number][] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [name = "", roles = "", sha256 = "", ...rest] = line.trim().split(/\s+/);
    const known = roles.split(",").filter((role): role is Role => /^(viewer|operator|approver)$/.test(role));
    const sound = known.length > 0 && known.length === roles.split(",").length && rest.length === 0;
    if (!/^[A-Za-z0-9._:|-]{1,128}$/.test(name) || !sound || !SHA256_HEX.test(sha256)) {
      throw unsafe("expected NAME ROLE[,ROLE] SHA256", i + 1);
    }
    tokens.push({ name, roles: known, sha256 });
  }
  return tokens;
}

function callerOf({ name, roles }: Grant): Caller {
  return { name, roles: new Set<Role>(["viewer", ...roles]) };
}

/** Subject alternative names of a client certificate that the server's own CA signed; empty without one. */
function certificateNames({ socket }: IncomingMessage): string[] {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return [];
  const { subjectaltname } = socket.getPeerCertificate();
  // Node quotes a name that holds a comma; such a name is none of ours and cannot be split by mistake.
  if (subjectaltname === undefined || subjectaltname.includes('"')) return [];
  return subjectaltname.split(", ").flatMap((one) => /^(?:URI|DNS):(.+)$/.exec(one)?.[1] ?? []);
}
