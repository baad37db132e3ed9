import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { frameMessage } from "../../control/xds/grpc-framing.ts";
import { type GrpcStream, startGrpcServer } from "../../control/xds/grpc-server.ts";
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../control/xds/proto/discovery_pb.js";
import { Subscription, type SubscriptionEvent } from "../../control/xds/subscription.ts";

/**
 * Ballast's transport and subscription with standard resources of one type in place of its own, so that a client that nobody of
 * ours wrote can judge them. Serves one stream at a time; a response goes out only to a client that holds another version.
 */
export interface StandardServer {
  port: number;
  /** Every request of the type in order, with what the subscription made of it. `stream` counts from 0. */
  readonly heard: { stream: number; request: DiscoveryRequest; event: SubscriptionEvent }[];
  /** The newest resource; goes out at once if somebody is subscribed. */
  push(version: string, resource: Buffer): void;
  stop(): Promise<void>;
}

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

export async function startStandardServer(typeUrl: string, port = 0): Promise<StandardServer> {
  const heard: StandardServer["heard"] = [];
  let newest: { version: string; resource: Buffer } | null = null;
  let current: { stream: GrpcStream; subscription: Subscription } | null = null;
  let streams = 0;
  let nonces = 0;
  const send = (): void => {
    if (current === null || newest === null) return;
    const { stream, subscription } = current;
    if (!subscription.started || subscription.held === newest.version || subscription.sent === newest.version) return;
    const nonce = `n${++nonces}`;
    const resources = [create(AnySchema, { typeUrl, value: newest.resource })];
    const response = create(DiscoveryResponseSchema, { versionInfo: newest.version, typeUrl, nonce, resources });
    stream.write(frameMessage(toBinary(DiscoveryResponseSchema, response)));
    subscription.wrote(newest.version, nonce);
  };
  const server = await startGrpcServer({
    host: "127.0.0.1",
    port,
    path: PATH,
    maxConnections: 10,
    maxStreamsPerConnection: 10,
    maxMessageBytes: 1024 * 1024,
    connectsPerSecond: 100,
    connectBurst: 10,
    maxWaitingConnects: 10,
    keepaliveMs: 30_000,
    keepaliveTimeoutMs: 10_000,
    onStream: (stream) => {
      const own = { stream, subscription: new Subscription() };
      const number = streams++;
      current = own;
      stream.onMessage = (bytes) => {
        const request = fromBinary(DiscoveryRequestSchema, bytes);
        if (request.typeUrl !== typeUrl) return;
        const { versionInfo, responseNonce, resourceNames, errorDetail } = request;
        const event = own.subscription.receive({
          versionInfo,
          responseNonce,
          resourceNames,
          error: errorDetail?.message,
        });
        heard.push({ stream: number, request, event });
        send();
      };
      stream.onClose = () => {
        if (current === own) current = null;
      };
    },
  });
  return {
    port: server.port,
    heard,
    push: (version, resource) => {
      newest = { version, resource };
      send();
    },
    stop: async () => {
      const stopped = server.stop(500);
      current?.stream.end(14, "the server is stopping");
      await stopped;
    },
  };
}
