import type { NatsTls } from "./nats/nats-options.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { CheckpointStore } from "./store.ts";

/** The part of a configuration that names the store (control/config/store.ts fits it). */
export interface StoreChoice {
  sqlite: string;
  nats: {
    servers: readonly string[];
    monitors: readonly string[];
    name: string;
    replicas: 1 | 3 | 5;
    credentialsFile: string | null;
    tls: { caFile: string | null; certFile: string | null; keyFile: string | null } | null;
    timeoutMs: number;
    maxBytes: number;
    allowFewReplicas: boolean;
    allowUnsynced: boolean;
  } | null;
}

/** Opens the store that ballast.yaml names. STORE_UNREADABLE, STORE_UNSAFE, STORE_CORRUPT. */
export async function openStore(store: StoreChoice, options: { wallMs?: () => number } = {}): Promise<CheckpointStore> {
  if (store.nats === null) return SqliteStore.open({ path: store.sqlite, ...options });
  // The client is loaded only where it is used: most servers keep their checkpoints in a file.
  const { NatsStore } = await import("./nats/nats-store.ts");
  const { credentialsFile, tls, ...same } = store.nats;
  return NatsStore.open({
    ...same,
    ...options,
    ...(credentialsFile === null ? {} : { credentials: { credsFile: credentialsFile } }),
    ...(tls === null ? {} : { tls: present(tls) }),
  });
}

function present(tls: { [K in keyof NatsTls]-?: string | null }): NatsTls {
  return Object.fromEntries(Object.entries(tls).filter(([, file]) => file !== null)) as NatsTls;
}
