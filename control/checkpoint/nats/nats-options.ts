/** How the server proves itself to NATS. At most one form. */
export type NatsCredentials =
  | { user: string; password: string }
  | { token: string }
  /** A `.creds` file: a JWT and its seed. Read again at every connection. */
  | { credsFile: string };

export interface NatsTls {
  /** PEM files. `caFile` replaces the system's authorities; certificate and key are for mutual TLS. */
  caFile?: string;
  certFile?: string;
  keyFile?: string;
}

export interface NatsStoreOptions {
  /** `nats://host:port` or `tls://host:port`, best all servers of the cluster; others are learned from it. */
  servers: readonly string[];
  /** Monitoring addresses (`http://host:8222`), one for each server that may hold a replica: where `sync_always` is read. */
  monitors?: readonly string[];
  /** Name of the stream and first word of its subjects, `[A-Za-z0-9_-]{1,32}`. Default `ballast`. One per fleet. */
  name?: string;
  /** Copies of the stream, 1, 3 or 5. Default 3; fewer are refused unless `allowFewReplicas`. */
  replicas?: 1 | 3 | 5;
  credentials?: NatsCredentials;
  tls?: NatsTls;
  /**
   * Bytes that the stream may hold on each server, when Ballast creates it; then writes are refused and reads go on. Default 0:
   * no limit but the server's own (`max_file_store`), at which a cluster stops JetStream as a whole until there is room.
   */
  maxBytes?: number;
  /** For development: accepts fewer than three replicas. One lost disk is then a lost log. */
  allowFewReplicas?: boolean;
  /** Accepts servers whose `sync_always` is not true or cannot be read. A power cut of all servers may then undo a commit. */
  allowUnsynced?: boolean;
  /**
   * Longest time of one call, all its tries included. Default 5,000 ms. After the loss of the stream's leader NATS needs
   * up to ten seconds for the next one; calls in between are refused with STORE_UNREADABLE.
   */
  timeoutMs?: number;
  /** How often `watch` looks at the head when nothing wakes it. Default 1,000 ms. */
  watchMs?: number;
  /** Wall clock, for entries and leases. Default Date.now. */
  wallMs?: () => number;
}

/** The options with their defaults. */
export type NatsSettings = Required<Omit<NatsStoreOptions, "credentials" | "tls">> &
  Pick<NatsStoreOptions, "credentials" | "tls">;

export const MIN_REPLICAS = 3;

export function natsSettings(options: NatsStoreOptions): NatsSettings {
  const settings: NatsSettings = {
    monitors: [],
    name: "ballast",
    replicas: 3,
    maxBytes: 0,
    allowFewReplicas: false,
    allowUnsynced: false,
    timeoutMs: 5_000,
    watchMs: 1_000,
    wallMs: Date.now,
    ...options,
  };
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(settings.name)) throw new Error(`a store cannot be named ${settings.name}`);
  if (settings.servers.length === 0) throw new Error("a store on NATS needs the address of a server");
  return settings;
}
