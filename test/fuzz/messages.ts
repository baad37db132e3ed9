import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { ActivationSchema, StageSchema, WeightTableSchema } from "../../control/xds/proto/ballast_pb.js";
import { DiscoveryResponseSchema } from "../../control/xds/proto/discovery_pb.js";

export type Kind = "Stage" | "WeightTable" | "Activation";
const PREFIX = "type.googleapis.com/ballast.v1.";
let nonce = 0;

/** At the start of a seed, so that a repeated seed sends the same bytes; nonces differ in length from seed to seed. */
export function startNonces(seed: number): void {
  nonce = (seed * 7_919) % 1_000_000;
}

export function response(kind: string, resources: readonly Uint8Array[], typeOf = kind): Uint8Array {
  return toBinary(
    DiscoveryResponseSchema,
    create(DiscoveryResponseSchema, {
      versionInfo: `v${++nonce}`,
      typeUrl: PREFIX + kind,
      nonce: `f${nonce}`,
      resources: resources.map((value) => create(AnySchema, { typeUrl: PREFIX + typeOf, value })),
    }),
  );
}

export function stage(
  epoch: bigint,
  term: bigint,
  setDigest: bigint,
  tables: readonly { service: string; digest: bigint }[],
): Uint8Array {
  return toBinary(
    StageSchema,
    create(StageSchema, { epoch, term, setDigest, tables: tables.map(({ service, digest }) => ({ service, digest })) }),
  );
}

export function activation(epoch: bigint, term: bigint, setDigest: bigint, mode: number): Uint8Array {
  return toBinary(ActivationSchema, create(ActivationSchema, { epoch, term, setDigest, mode }));
}

export function weightTable(digest: bigint, table: Uint8Array): Uint8Array {
  return toBinary(WeightTableSchema, create(WeightTableSchema, { digest, table }));
}
