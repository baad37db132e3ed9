import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { frameMessage } from "../../control/xds/grpc-framing.ts";
import { type GrpcStream, startGrpcServer } from "../../control/xds/grpc-server.ts";
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from "../../control/xds/proto/discovery_pb.js";
import { ROUTE_TYPE, routeConfiguration, type WeightedRoute } from "./route-config.ts";

/** What a user has without Ballast: native weights pushed as a RouteConfiguration over one aggregated gRPC stream. Same transport as Ballast's. */
export interface RdsServer {
  port: number;
  /** Encodes the next version; `send` writes it. */
  prepare(routes: readonly WeightedRoute[]): void;
  /** Resolves when Envoy has acknowledged; rejects when it refuses. */
  send(): Promise<void>;
  stop(): Promise<void>;
}

export const ROUTE_NAME = "native";
const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const ACK_TIMEOUT_MS = 20_000;

export async function startRdsServer(): Promise<RdsServer> {
  let stream: GrpcStream | null = null;
  let version = 0;
  let frame: Buffer = Buffer.alloc(0);
  let waiting: { done: () => void; fail: (error: Error) => void } | null = null;
  const server = await startGrpcServer({
    host: "127.0.0.1",
    port: 0,
    path: PATH,
    maxConnections: 10,
    maxStreamsPerConnection: 10,
    maxMessageBytes: 1024 * 1024,
    connectsPerSecond: 100,
    connectBurst: 10,
    maxWaitingConnects: 10,
    keepaliveMs: 30_000,
    keepaliveTimeoutMs: 10_000,
    onStream: (opened) => {
      stream = opened;
      opened.onMessage = (bytes) => {
        const request = fromBinary(DiscoveryRequestSchema, bytes);
        if (request.typeUrl !== ROUTE_TYPE) return;
        if (request.errorDetail !== undefined) {
          waiting?.fail(new Error(`Envoy refused the routes: ${request.errorDetail.message}`));
        } else if (request.responseNonce === "") opened.write(frame);
        else if (request.responseNonce === String(version)) waiting?.done();
      };
    },
  });
  return {
    port: server.port,
    prepare: (routes) => {
      version++;
      const resource = create(AnySchema, { typeUrl: ROUTE_TYPE, value: routeConfiguration(ROUTE_NAME, routes) });
      frame = frameMessage(
        toBinary(
          DiscoveryResponseSchema,
          create(DiscoveryResponseSchema, {
            versionInfo: String(version),
            typeUrl: ROUTE_TYPE,
            nonce: String(version),
            resources: [resource],
          }),
        ),
      );
    },
    send: () =>
      new Promise((done, fail) => {
        const timer = setTimeout(() => fail(new Error("Envoy did not acknowledge the routes")), ACK_TIMEOUT_MS);
        waiting = {
          done: () => {
            clearTimeout(timer);
            done();
          },
          fail: (error) => {
            clearTimeout(timer);
            fail(error);
          },
        };
        stream?.write(frame);
      }),
    stop: () => server.stop(100),
  };
}
