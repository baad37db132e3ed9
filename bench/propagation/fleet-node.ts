import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { digestHex } from "../../common/xxh64.ts";
import { decodeTable, tableDigest } from "../../control/table/codec.ts";
import { StageSchema, WeightTableSchema } from "../../control/xds/proto/ballast_pb.js";
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from "../../control/xds/proto/discovery_pb.js";
import { kindOf, type ResourceKind, TYPE_URL } from "../../control/xds/resources.ts";
import { dataFrame } from "./h2-client.ts";

/** What a response says, read once for all nodes that get the same bytes, with the answers that it calls for, ready to send. */
export interface Reading {
  kind: ResourceKind;
  version: string;
  nonce: string;
  /** Stage: the digests of the set. WeightTable: those in this response. */
  digests: readonly string[];
  ack: Buffer;
}

const MAX_READINGS = 64;

/**
 * The filter's part in an epoch without the Envoy around it. All nodes of a process share the readings and the encoded answers: a
 * node compares bytes and looks up, so that ten thousand clients cost less than the one server. Every distinct table is verified.
 */
export class FilterScript {
  readonly #fleet: string;
  readonly #readings: { bytes: Buffer; reading: Reading }[] = [];
  readonly #requests = new Map<string, Buffer>();

  constructor(fleet: string) {
    this.#fleet = fleet;
  }

  /** The two first requests of a stream. */
  hello(id: string, instance: string, stageVersion: string, activeVersion: string): Buffer {
    const node = {
      id,
      cluster: this.#fleet,
      userAgentName: "ballast-filter",
      userAgentVersion: `0.1.0/1/${instance}`,
    };
    const first = (typeUrl: string, versionInfo: string): Buffer =>
      dataFrame(
        toBinary(
          DiscoveryRequestSchema,
          create(DiscoveryRequestSchema, { typeUrl, versionInfo, node, resourceNames: [this.#fleet] }),
        ),
      );
    return Buffer.concat([first(TYPE_URL.stage, stageVersion), first(TYPE_URL.activation, activeVersion)]);
  }

  /** The request for tables; the filter sends it with the nonce of the last table response of the stream. */
  tableRequest(names: readonly string[], nonce: string, version: string): Buffer {
    const key = `${nonce}/${version}/${names.join()}`;
    let bytes = this.#requests.get(key);
    if (bytes === undefined) {
      if (this.#requests.size >= MAX_READINGS) this.#requests.clear();
      bytes = request({
        typeUrl: TYPE_URL.table,
        versionInfo: version,
        responseNonce: nonce,
        resourceNames: [...names],
      });
      this.#requests.set(key, bytes);
    }
    return bytes;
  }

  read(message: Buffer): Reading {
    for (const { bytes, reading } of this.#readings) if (bytes.equals(message)) return reading;
    const bytes = Buffer.from(message);
    const reading = this.#decode(bytes);
    this.#readings.unshift({ bytes, reading });
    if (this.#readings.length > MAX_READINGS) this.#readings.pop();
    return reading;
  }

  #decode(bytes: Buffer): Reading {
    const { typeUrl, versionInfo, nonce, resources } = fromBinary(DiscoveryResponseSchema, bytes);
    const kind = kindOf(typeUrl);
    if (kind === undefined) throw new Error(`the server sent ${typeUrl}`);
    const digests =
      kind === "activation"
        ? []
        : kind === "stage"
          ? fromBinary(StageSchema, (resources[0] as { value: Uint8Array }).value).tables.map(({ digest }) =>
              digestHex(digest),
            )
          : resources.map(({ value }) => verified(value));
    const resourceNames = kind === "table" ? [] : [this.#fleet];
    return {
      kind,
      version: versionInfo,
      nonce,
      digests,
      ack: request({ typeUrl, versionInfo, responseNonce: nonce, resourceNames }),
    };
  }
}

function verified(resource: Uint8Array): string {
  const { digest, table } = fromBinary(WeightTableSchema, resource);
  decodeTable(table);
  if (tableDigest(table) !== digest) throw new Error("a table came under another digest");
  return digestHex(digest);
}

function request(fields: {
  typeUrl: string;
  versionInfo: string;
  responseNonce: string;
  resourceNames: string[];
}): Buffer {
  return dataFrame(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, fields)));
}
