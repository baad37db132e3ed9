import { BallastError } from "../../../common/errors.ts";
import { MIN_REPLICAS, type NatsSettings } from "./nats-options.ts";

const MONITOR_TIMEOUT_MS = 2_000;
/** Larger than any /varz; what is longer is not from a nats-server. */
const MAX_VARZ_BYTES = 1024 * 1024;

/** Atomic batches came with it: record and head are one write. */
const MIN_VERSION = "2.12.0";
/** Below it two writers can both win a compare-and-swap in a cluster. https://github.com/nats-io/nats-server/issues/4320 */
const MIN_CLUSTERED_VERSION = "2.10.27";

/** Refuses a server by what it said when it was connected. STORE_UNSAFE. */
export function checkServer(info: {
  version: string;
  cluster?: string | undefined;
  server_name?: string | undefined;
}): void {
  const { version, cluster } = info;
  if (atLeast(version, MIN_VERSION)) return;
  const broken =
    cluster !== undefined && !atLeast(version, MIN_CLUSTERED_VERSION)
      ? "; clustered before 2.10.27, two writers can win the same epoch"
      : "";
  throw new BallastError(
    "STORE_UNSAFE",
    `the NATS server ${info.server_name ?? ""} has version ${version}: at least ${MIN_VERSION} is needed, for atomic batches${broken}`,
  );
}

export function checkReplicas({ replicas, allowFewReplicas }: NatsSettings): void {
  if (replicas >= MIN_REPLICAS || allowFewReplicas) return;
  throw new BallastError("STORE_UNSAFE", `${replicas} replica is asked for: at least ${MIN_REPLICAS} are needed`, {
    hint: "Set store.nats.replicas to 3, or for development store.nats.allowFewReplicas to true.",
  });
}

/**
 * Reads from the servers' monitoring whether each write is on disk before it is acknowledged; the default of nats-server is
 * every two minutes, which lost acknowledged writes at a power cut (https://jepsen.io/analyses/nats-2.12.1).
 *
 * Every server that answers must say `sync_always: true` (the interval says nothing) and have the version; more than half
 * of the addresses must answer, so that a server may be down when this one starts. STORE_UNSAFE.
 */
export async function checkMonitors(settings: NatsSettings): Promise<void> {
  const { monitors, replicas, allowUnsynced } = settings;
  if (allowUnsynced) return;
  const unconfirmed = (why: string) =>
    new BallastError("STORE_UNSAFE", `whether the NATS servers sync every write cannot be confirmed: ${why}`, {
      hint: "Name the monitoring address of each server in store.nats.monitor, or accept the risk with store.nats.allowUnsynced.",
    });
  if (monitors.length < replicas) throw unconfirmed(`${monitors.length} monitoring addresses for ${replicas} replicas`);
  const answers = await Promise.allSettled(monitors.map(readVarz));
  const confirmed = new Set<string>();
  const failures: string[] = [];
  for (const [i, answer] of answers.entries()) {
    if (answer.status === "rejected") {
      failures.push(
        `${monitors[i]}: ${answer.reason instanceof Error ? answer.reason.message : String(answer.reason)}`,
      );
      continue;
    }
    const { version, serverId, name, syncAlways } = answer.value;
    checkServer({ version, server_name: name });
    if (!syncAlways) {
      throw new BallastError(
        "STORE_UNSAFE",
        `the NATS server ${name} (${monitors[i]}) acknowledges writes before they are on disk: sync_always is not true`,
        {
          hint: "Set `sync_interval: always` in the server's jetstream section, or accept the risk with store.nats.allowUnsynced.",
        },
      );
    }
    confirmed.add(serverId);
  }
  if (confirmed.size * 2 <= monitors.length) {
    throw unconfirmed(`${confirmed.size} of ${monitors.length} servers answered; ${failures.join("; ")}`);
  }
}

async function readVarz(
  monitor: string,
): Promise<{ version: string; serverId: string; name: string; syncAlways: boolean }> {
  const answer = await fetch(new URL("/varz", monitor), { signal: AbortSignal.timeout(MONITOR_TIMEOUT_MS) });
  if (!answer.ok || answer.body === null) throw new Error(`/varz answers ${answer.status}`);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer.body) {
    bytes += part.length;
    if (bytes > MAX_VARZ_BYTES) throw new Error(`/varz is larger than ${MAX_VARZ_BYTES} bytes`);
    parts.push(part);
  }
  const varz = JSON.parse(Buffer.concat(parts).toString("utf8")) as {
    version?: unknown;
    server_id?: unknown;
    server_name?: unknown;
    jetstream?: { config?: { sync_always?: unknown } };
  };
  if (typeof varz.version !== "string" || typeof varz.server_id !== "string")
    throw new Error("/varz is not nats-server's");
  return {
    version: varz.version,
    serverId: varz.server_id,
    name: String(varz.server_name ?? varz.server_id),
    syncAlways: varz.jetstream?.config?.sync_always === true,
  };
}

/** Compares major.minor.patch. What is not a version is older than all; a pre-release counts as its release. */
export function atLeast(version: string, least: string): boolean {
  const parse = (text: string) => /^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})/.exec(text)?.slice(1).map(Number);
  const a = parse(version);
  const b = parse(least);
  if (a === undefined || b === undefined) return false;
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i]! > b[i]!;
  return true;
}
