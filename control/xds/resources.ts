import { create, toBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import { BallastError } from "../../common/errors.ts";
import { digestHex, xxh64 } from "../../common/xxh64.ts";
import type { EncodedTable, TableSet } from "../table/table.ts";
import { frameMessage, PREFIX_BYTES } from "./grpc-framing.ts";
import { ActivationSchema, Mode, StageSchema, WeightTableSchema } from "./proto/ballast_pb.js";
import { DiscoveryResponseSchema } from "./proto/discovery_pb.js";

/** The three resource types of the control protocol and their names on the wire. */
export const TYPE_URL = {
  stage: "type.googleapis.com/ballast.v1.Stage",
  table: "type.googleapis.com/ballast.v1.WeightTable",
  activation: "type.googleapis.com/ballast.v1.Activation",
} as const;

export type ResourceKind = keyof typeof TYPE_URL;

/** The kind of a type URL, or undefined for a type that Ballast does not serve. */
export function kindOf(typeUrl: string): ResourceKind | undefined {
  switch (typeUrl) {
    case TYPE_URL.stage:
      return "stage";
    case TYPE_URL.table:
      return "table";
    case TYPE_URL.activation:
      return "activation";
    default:
      return undefined;
  }
}

/** Bound of one DiscoveryResponse: the filter's work per callback is bounded by it. */
export const MAX_RESPONSE_BYTES = 128 * 1024;

export type ActivationMode = "steer" | "observe" | "passthrough";

/** A response as it goes to the wire, encoded once for every stream that gets it. */
export interface EncodedResponse {
  kind: ResourceKind;
  version: string;
  /** The epoch in `version`. */
  epoch: number;
  nonce: string;
  bytes: Buffer;
  /** `bytes` as one gRPC message, what is written to the streams. */
  frame: Buffer;
}

/** `"<epoch>-<set digest as 16 hex digits>"`, the version of every type. */
export function versionOf(epoch: number, setDigest: bigint): string {
  return `${epoch}-${digestHex(setDigest)}`;
}

/** Epoch of a version string; 0 for "" and for text that no Ballast server wrote. Above 2^53 the value is rounded. */
export function epochOf(version: string): number {
  return /^\d{1,20}-[0-9a-f]{16}$/.test(version) ? Number(version.slice(0, version.indexOf("-"))) : 0;
}

/** Throws SET_TOO_LARGE when the list of tables does not fit one response. */
export function encodeStage(epoch: number, term: number, set: TableSet): EncodedResponse {
  const message = create(StageSchema, {
    epoch: BigInt(epoch),
    term: BigInt(term),
    setDigest: set.digest,
    tables: set.tables.map(({ service, digest }) => ({ service, digest })),
  });
  const version = versionOf(epoch, set.digest);
  const response = encode("stage", version, `${version}/s`, [toBinary(StageSchema, message)]);
  if (response.bytes.length > MAX_RESPONSE_BYTES) {
    throw new BallastError(
      "SET_TOO_LARGE",
      `the Stage message of ${set.tables.length} services has ${response.bytes.length} bytes: at most ${MAX_RESPONSE_BYTES}`,
    );
  }
  return response;
}

const MODES: Record<ActivationMode, Mode> = {
  steer: Mode.STEER,
  observe: Mode.OBSERVE,
  passthrough: Mode.PASSTHROUGH,
};

/** `again`: follows another activation of the same epoch on the same streams, so it has a nonce of its own. */
export function encodeActivation(
  epoch: number,
  term: number,
  setDigest: bigint,
  mode: ActivationMode,
  again = false,
): EncodedResponse {
  const message = create(ActivationSchema, { epoch: BigInt(epoch), term: BigInt(term), setDigest, mode: MODES[mode] });
  const version = versionOf(epoch, setDigest);
  return encode("activation", version, `${version}/a${again ? "+" : ""}`, [toBinary(ActivationSchema, message)]);
}

/**
 * As many of `tables`, from the first on, as fit one response; at least one, since every table is below the bound.
 * The nonce names the content; `again` tells it from the response before it when that one was the same.
 */
export function encodeTables(
  version: string,
  tables: readonly EncodedTable[],
  again: boolean,
): EncodedResponse & { count: number } {
  const resources: Uint8Array[] = [];
  let size = 256;
  for (const { digest, bytes } of tables) {
    size += bytes.length + 128;
    if (resources.length > 0 && size > MAX_RESPONSE_BYTES) break;
    resources.push(toBinary(WeightTableSchema, create(WeightTableSchema, { digest, table: bytes })));
  }
  const names = tables.slice(0, resources.length).map((table) => digestHex(table.digest));
  const nonce = `${version}/t${digestHex(xxh64(Buffer.from(names.join())))}${again ? "+" : ""}`;
  return { ...encode("table", version, nonce, resources), count: resources.length };
}

function encode(kind: ResourceKind, version: string, nonce: string, values: Uint8Array[]): EncodedResponse {
  const typeUrl = TYPE_URL[kind];
  const resources: Any[] = values.map((value) => create(AnySchema, { typeUrl, value }));
  const message = create(DiscoveryResponseSchema, { versionInfo: version, typeUrl, nonce, resources });
  const frame = frameMessage(toBinary(DiscoveryResponseSchema, message));
  return { kind, version, epoch: epochOf(version), nonce, bytes: frame.subarray(PREFIX_BYTES), frame };
}
