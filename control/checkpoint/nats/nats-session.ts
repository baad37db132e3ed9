import { readFile } from "node:fs/promises";
import { type JetStreamManager, jetstream, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { type ConnectionOptions, connect, credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { BallastError } from "../../../common/errors.ts";
import { type Deadline, MAX_TRY_MS } from "./deadline.ts";
import { isTransient, JS_ERROR, jsErrorCode, NATS_HINT, storeError } from "./nats-errors.ts";
import { MIN_REPLICAS, type NatsSettings } from "./nats-options.ts";
import { checkMonitors, checkReplicas, checkServer } from "./server-guard.ts";
import { checkStream, type StreamLayout } from "./stream-layout.ts";

/** Per server and outage; about two minutes. Then the connection is closed, and the next call of the store makes a new one. */
const MAX_RECONNECTS = 120;
const RECONNECT_WAIT_MS = 500;
const RECONNECT_JITTER_MS = 500;
const PING_INTERVAL_MS = 10_000;

/** One connection, whose servers and stream were found safe. */
export class NatsSession {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly leases: KV;
  #checkedServer: string;

  private constructor(nc: NatsConnection, jsm: JetStreamManager, leases: KV) {
    this.nc = nc;
    this.jsm = jsm;
    this.leases = leases;
    this.#checkedServer = nc.info?.server_id ?? "";
  }

  /** Connects, checks, and makes what is missing. STORE_UNSAFE or STORE_UNREADABLE. */
  static async open(settings: NatsSettings, layout: StreamLayout, deadline: Deadline): Promise<NatsSession> {
    checkReplicas(settings);
    // The client's own limit is for one request and for good; the deadline is for this call.
    const tryMs = Math.min(MAX_TRY_MS, settings.timeoutMs);
    const nc = await dial(settings, deadline);
    try {
      checkServer(nc.info!);
      await checkMonitors(settings);
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: tryMs });
      const config = await deadline.retry(
        "opening the stream",
        () => ensureStream(jsm, layout, settings),
        isTransientOrNotThere,
      );
      checkStream(config, settings);
      const leases = await deadline.retry("opening the leases", () =>
        new Kvm(jetstream(nc, { timeout: tryMs })).create(layout.leaseBucket, {
          history: 1,
          replicas: settings.replicas,
          allow_direct: false,
        } as Parameters<Kvm["create"]>[1]),
      );
      const { replicas } = await deadline.retry("opening the leases", () => leases.status(), isTransientOrNotThere);
      if (replicas < Math.min(MIN_REPLICAS, settings.replicas)) {
        throw new BallastError("STORE_UNSAFE", `the bucket ${layout.leaseBucket} has ${replicas} replicas`);
      }
      return new NatsSession(nc, jsm, leases);
    } catch (error) {
      await nc.close();
      throw storeError(error, "opening");
    }
  }

  get maxPayloadBytes(): number {
    return this.nc.info?.max_payload ?? 1024 * 1024;
  }

  /** The client moves to another server by itself; that one must be good enough too. STORE_UNSAFE. */
  recheck(): void {
    const { info } = this.nc;
    if (info === undefined || info.server_id === this.#checkedServer) return;
    checkServer(info);
    this.#checkedServer = info.server_id;
  }

  async close(): Promise<void> {
    await this.nc.close();
  }
}

/** What was made a moment ago, by this or another control server, may be unknown yet to the server that answers. */
function isTransientOrNotThere(error: unknown): boolean {
  return isTransient(error) || jsErrorCode(error) === JS_ERROR.streamNotFound;
}

async function dial(settings: NatsSettings, deadline: Deadline): Promise<NatsConnection> {
  const { credentials, tls } = settings;
  const options: ConnectionOptions = {
    servers: [...settings.servers],
    name: `ballast ${settings.name}`,
    timeout: deadline.tryMs,
    maxReconnectAttempts: MAX_RECONNECTS,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    reconnectJitterTLS: RECONNECT_JITTER_MS,
    pingInterval: PING_INTERVAL_MS,
    // An empty one still demands TLS of the server: the scheme alone does not.
    ...(tls !== undefined || settings.servers.some((server) => server.startsWith("tls:")) ? { tls: tls ?? {} } : {}),
  };
  try {
    if (credentials !== undefined) {
      if ("credsFile" in credentials) options.authenticator = credsAuthenticator(await readFile(credentials.credsFile));
      else if ("token" in credentials) options.token = credentials.token;
      else {
        options.user = credentials.user;
        options.pass = credentials.password;
      }
    }
    return await deadline.retry("connecting", () => connect(options));
  } catch (error) {
    // The client's errors of name look-up, TLS and files have no class of their own.
    if (error instanceof BallastError) throw error;
    const what = error instanceof Error ? error.message : String(error);
    throw new BallastError("STORE_UNREADABLE", `NATS, connecting: ${what}`, { cause: error, hint: NATS_HINT });
  }
}

async function ensureStream(
  jsm: JetStreamManager,
  layout: StreamLayout,
  settings: NatsSettings,
): Promise<StreamConfig> {
  try {
    return (await jsm.streams.info(layout.stream)).config;
  } catch (error) {
    if (jsErrorCode(error) !== JS_ERROR.streamNotFound) throw error;
  }
  try {
    return (await jsm.streams.add(layout.config(settings))).config;
  } catch (error) {
    // Another server made it in between, with other settings: look at those.
    if (jsErrorCode(error) !== JS_ERROR.streamNameInUse) throw error;
    return (await jsm.streams.info(layout.stream)).config;
  }
}
