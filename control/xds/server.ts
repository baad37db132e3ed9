import { fromBinary } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { Fleet, type FleetMemory, type FleetStream } from "./fleet.ts";
import { GRPC_STATUS, type GrpcStream, startGrpcServer } from "./grpc-server.ts";
import { IdentityPolicy } from "./identity.ts";
import { isLoopback, parseListenAddress } from "./listen-address.ts";
import { parseUserAgentVersion } from "./nodes.ts";
import { type DiscoveryRequest, DiscoveryRequestSchema } from "./proto/discovery_pb.js";
import { FleetPush } from "./push.ts";
import { kindOf } from "./resources.ts";

export interface XdsLimits {
  /** Open streams over all connections, and open connections; one more is refused (RESOURCE_EXHAUSTED). Default 20,000. */
  maxStreams?: number;
  /** Streams per connection (SETTINGS_MAX_CONCURRENT_STREAMS). Default 100. */
  maxStreamsPerConnection?: number;
  /** Nodes remembered, connected or not. Default 50,000. */
  maxNodes?: number;
  /** Resource names that one request may ask for. Default 4,096. */
  maxNames?: number;
  /** Largest request. Default 262,144 bytes: 4,096 names of a digest are 74 KiB. */
  maxRequestBytes?: number;
  /** A stream that has not said who it is within this time is closed. Default 10,000 ms. */
  firstRequestMs?: number;
  /** Connections taken up per second when a fleet comes back at once; the others wait in order. Default 2,000, with TLS 400. */
  connectsPerSecond?: number;
  /** Connections taken up at once after a quiet time. Default 1,000, with TLS 200. */
  connectBurst?: number;
  /** Interval of the pings that find half-open connections (grpc.keepalive_time_ms). Default 30,000 ms. */
  keepaliveMs?: number;
  /** Time without an answer to a ping after which the connection is closed. Default 20,000 ms. */
  keepaliveTimeoutMs?: number;
  /** How long `stop` waits for streams to end before it cuts them. Default 5,000 ms. */
  stopMs?: number;
}

const DEFAULT_LIMITS: Required<XdsLimits> = {
  maxStreams: 20_000,
  maxStreamsPerConnection: 100,
  maxNodes: 50_000,
  maxNames: 4_096,
  maxRequestBytes: 256 * 1024,
  firstRequestMs: 10_000,
  connectsPerSecond: 2_000,
  connectBurst: 1_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 20_000,
  stopMs: 5_000,
};

/** A TLS handshake takes about a millisecond of the one thread: half of it is left to those who are in. */
const TLS_LIMITS = { connectsPerSecond: 400, connectBurst: 200 };

export interface XdsServerOptions {
  /** `host:port`; port 0 takes a free one. Anything but loopback needs `tls`. */
  address: string;
  /** Name of the fleet: the resource name of Stage and Activation. */
  fleet: string;
  log: Pick<Logger, "info" | "warn" | "error">;
  clock: Clock;
  limits?: XdsLimits;
  /** PEM. With `clientCa` every client must show a certificate signed by it. */
  tls?: {
    cert: Buffer;
    key: Buffer;
    clientCa?: Buffer;
    /** Which certificate speaks for which node, see `IdentityPolicy`; asked only with `clientCa`. Default DEFAULT_IDENTITIES. */
    identities?: readonly string[];
  };
  /** What the store says now. Without it every node that holds an epoch is found to be ahead (EPOCH_BEHIND_FLEET). */
  restore?: FleetMemory;
  /** Called before anything is written or a stream is taken up: the last moment to `silence` a fleet that is no longer ours. */
  beforeServing?: () => void;
  /** Called when a node holds more than the store: nothing is pushed until `fleet.raiseReserved`. */
  onBehind?: (error: BallastError, node: { id: string; instance: string }, epoch: number) => void;
}

export interface XdsServer {
  port: number;
  fleet: FleetPush;
  /** Open streams, for metrics. */
  streams(): number;
  /** Stops in order: no more pushes, GOAWAY, every stream ended with UNAVAILABLE, and after `stopMs` cut. */
  stop(): Promise<void>;
}

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
/** The socket side of one stream. */
interface Wire {
  stream: GrpcStream;
  /** True from a `write` that returned false until `onDrain`: it would be queued without bound otherwise. */
  blocked: boolean;
  ended: boolean;
  /** Warnings logged so far; a client that misbehaves must not fill the log. */
  warnings: number;
  firstRequest: NodeJS.Timeout;
}

const MAX_WARNINGS_PER_STREAM = 5;
/** Connections beyond the cap of streams, so that who is refused is told why. */
const SPARE_CONNECTIONS = 100;
/**
 * Streams served before other events get their turn. Writing goes before reading ACKs, so that the last node of a fleet gets an
 * activation soon after the first; it takes the event loop for some 20 ms at most.
 */
const STREAMS_PER_TURN = 2_048;

/** Starts the aggregated discovery service of one fleet. Throws XDS_TLS_REQUIRED, PORT_TAKEN or USAGE. */
export async function startXdsServer(options: XdsServerOptions): Promise<XdsServer> {
  const { clock, log } = options;
  const limits = { ...DEFAULT_LIMITS, ...(options.tls === undefined ? {} : TLS_LIMITS), ...options.limits };
  const { host, port: wantedPort } = parseListenAddress(options.address);
  if (options.tls === undefined && !isLoopback(host)) {
    throw new BallastError("XDS_TLS_REQUIRED", `${options.address} is not a loopback address and no TLS is configured`);
  }

  const identity =
    options.tls?.clientCa === undefined ? null : new IdentityPolicy(options.fleet, options.tls.identities);
  const open = new Set<FleetStream<Wire>>();
  const dirty = new Set<FleetStream<Wire>>();
  let turn: NodeJS.Immediate | null = null;
  let stopping = false;

  const flush = () => {
    turn = null;
    options.beforeServing?.();
    let budget = STREAMS_PER_TURN;
    for (const stream of dirty) {
      if (budget-- === 0) break;
      dirty.delete(stream);
      send(stream);
    }
    if (dirty.size > 0) turn = setImmediate(flush);
  };
  const send = (stream: FleetStream<Wire>) => {
    const wire = stream.handle;
    if (wire.blocked || wire.ended) return;
    const first = fleet.next(stream);
    if (first === null) return;
    fleet.wrote(stream, first);
    const second = fleet.next(stream);
    if (second === null) {
      wire.blocked = !wire.stream.write(first.frame);
      return;
    }
    // Each type has at most one response under way, so there are at most three; one packet carries what is small enough.
    const frames = [first.frame];
    for (let more: typeof first | null = second; more !== null; more = fleet.next(stream)) {
      fleet.wrote(stream, more);
      frames.push(more.frame);
    }
    wire.blocked = !wire.stream.writeAll(frames);
  };
  const end = (wire: Wire, code: number, details: string) => {
    if (wire.ended) return;
    wire.ended = true;
    clearTimeout(wire.firstRequest);
    wire.stream.end(code, details);
  };

  const fleet = new Fleet<Wire>({
    fleet: options.fleet,
    clock,
    maxNodes: limits.maxNodes,
    maxNames: limits.maxNames,
    effects: {
      wake(stream) {
        dirty.add(stream);
        turn ??= setImmediate(flush);
      },
      close(stream, code, reason) {
        open.delete(stream);
        end(stream.handle, code === "aborted" ? GRPC_STATUS.ABORTED : GRPC_STATUS.UNAVAILABLE, reason);
      },
      roundEnded(outcome) {
        const { kind, epoch, result, acks, nodes, tookMs, reason } = outcome;
        log.info({ kind, epoch, result, acks, asked: nodes.length, tookMs, reason }, "round ended");
        push.roundEnded(outcome);
      },
      behind(error, node, epoch) {
        log.error({ code: error.code, node: node.id, instance: node.instance, epoch }, error.message);
        options.onBehind?.(error, node, epoch);
      },
      warn(stream, text) {
        if (stream.handle.warnings++ >= MAX_WARNINGS_PER_STREAM) return;
        log.warn({ node: stream.node?.id, instance: stream.node?.instance }, text);
      },
      quarantined({ id, instance }, epoch, reason) {
        log.error({ node: id, instance, epoch, reason }, "node failed to activate: it passes requests through");
      },
    },
  });
  const push = new FleetPush(fleet as Fleet<unknown>);
  if (options.restore !== undefined) fleet.restore(options.restore);

  const onRequest = (stream: FleetStream<Wire>, bytes: Buffer) => {
    const wire = stream.handle;
    if (wire.ended) return;
    let request: DiscoveryRequest;
    try {
      request = fromBinary(DiscoveryRequestSchema, bytes, { readUnknownFields: false });
    } catch {
      end(wire, GRPC_STATUS.INVALID_ARGUMENT, "the request is not a DiscoveryRequest");
      return;
    }
    if (stream.node === null && (request.node === undefined || request.node.id === "")) {
      end(wire, GRPC_STATUS.INVALID_ARGUMENT, "the first request must carry node.id");
      return;
    }
    if (request.node !== undefined && request.node.id !== "") {
      // At every request that names a node: what was proved for one name holds for no other.
      const refusal = identity?.refusal(wire.stream.peerCertificate(), request.node.id, request.node.cluster) ?? null;
      if (refusal !== null) {
        log.warn({ code: "XDS_IDENTITY_REFUSED", node: request.node.id.slice(0, 256) }, refusal);
        end(wire, GRPC_STATUS.PERMISSION_DENIED, new BallastError("XDS_IDENTITY_REFUSED", refusal).message);
        return;
      }
      if (request.node.cluster !== options.fleet) {
        // Left unanswered it would wait for ever for a table, and nobody would see why.
        const what = `node ${request.node.id.slice(0, 256)} is of fleet ${request.node.cluster.slice(0, 256)}, this server of ${options.fleet}`;
        log.warn({ code: "FLEET_MISMATCH", node: request.node.id.slice(0, 256) }, what);
        end(wire, GRPC_STATUS.FAILED_PRECONDITION, new BallastError("FLEET_MISMATCH", what).message);
        return;
      }
      clearTimeout(wire.firstRequest);
      fleet.identify(stream, {
        id: request.node.id.slice(0, 256),
        ...parseUserAgentVersion(request.node.userAgentVersion),
      });
    }
    const kind = kindOf(request.typeUrl);
    if (kind === undefined) {
      if (wire.warnings++ < MAX_WARNINGS_PER_STREAM) {
        log.warn({ node: stream.node?.id, typeUrl: request.typeUrl.slice(0, 128) }, "a type that is not served");
      }
      return;
    }
    fleet.receive(stream, kind, {
      versionInfo: request.versionInfo,
      responseNonce: request.responseNonce,
      resourceNames: request.resourceNames,
      error:
        request.errorDetail === undefined
          ? undefined
          : request.errorDetail.message || `code ${request.errorDetail.code}`,
    });
  };

  const onStream = (grpcStream: GrpcStream) => {
    const wire: Wire = {
      stream: grpcStream,
      blocked: false,
      ended: false,
      warnings: 0,
      firstRequest: setTimeout(
        () => end(wire, GRPC_STATUS.DEADLINE_EXCEEDED, "no request came"),
        limits.firstRequestMs,
      ),
    };
    const stream = fleet.open(wire);
    grpcStream.onClose = () => {
      wire.ended = true;
      clearTimeout(wire.firstRequest);
      open.delete(stream);
      dirty.delete(stream);
      fleet.close(stream);
    };
    grpcStream.onDrain = () => {
      wire.blocked = false;
      options.beforeServing?.();
      send(stream);
    };
    grpcStream.onMessage = (bytes) => onRequest(stream, bytes);
    options.beforeServing?.();
    if (stopping || fleet.silent !== null) end(wire, GRPC_STATUS.UNAVAILABLE, fleet.silent ?? "the server is stopping");
    else if (open.size >= limits.maxStreams)
      end(wire, GRPC_STATUS.RESOURCE_EXHAUSTED, `${limits.maxStreams} streams are open`);
    else open.add(stream);
  };

  const server = await startGrpcServer({
    host,
    port: wantedPort,
    path: PATH,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    maxConnections: limits.maxStreams + SPARE_CONNECTIONS,
    maxStreamsPerConnection: limits.maxStreamsPerConnection,
    maxMessageBytes: limits.maxRequestBytes,
    connectsPerSecond: limits.connectsPerSecond,
    connectBurst: limits.connectBurst,
    maxWaitingConnects: limits.maxStreams,
    keepaliveMs: limits.keepaliveMs,
    keepaliveTimeoutMs: limits.keepaliveTimeoutMs,
    onStream,
  });
  log.info(
    { address: options.address, port: server.port, fleet: options.fleet, tls: options.tls !== undefined },
    "xDS server listens",
  );

  let stopped: Promise<void> | null = null;
  return {
    port: server.port,
    fleet: push,
    streams: () => open.size,
    stop() {
      stopped ??= (async () => {
        stopping = true;
        // GOAWAY goes out before the streams end, so that no client opens its next stream on the same connection.
        const drained = server.stop(limits.stopMs);
        fleet.silence("the server is stopping");
        await drained;
        if (turn !== null) clearImmediate(turn);
      })();
      return stopped;
    },
  };
}
