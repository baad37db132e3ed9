import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { digestHex } from "../../common/xxh64.ts";
import type { EncodedTable, TableSet } from "../../control/table/table.ts";
import { ActivationSchema, Mode, StageSchema, WeightTableSchema } from "../../control/xds/proto/ballast_pb.js";
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../control/xds/proto/discovery_pb.js";
import type { Envoy } from "./envoy.ts";
import type { PeerStream } from "./grpc.ts";

const PREFIX = "type.googleapis.com/ballast.v1.";
export type Kind = "Stage" | "WeightTable" | "Activation";
export const MODE = { steer: Mode.STEER, observe: Mode.OBSERVE, passthrough: Mode.PASSTHROUGH } as const;

export interface SeenRequest {
  stream: PeerStream;
  kind: Kind;
  message: DiscoveryRequest;
}

/**
 * A control server under the test's hand: it keeps what the filter says, serves tables by digest from what it was given,
 * and otherwise sends only what the test tells it to.
 */
export class XdsPeer {
  readonly #envoy: Envoy;
  readonly requests: SeenRequest[] = [];
  /** Tables by digest, served when asked for; a test may put wrong bytes under a digest. */
  readonly tables = new Map<bigint, Uint8Array>();
  /** False: requests for tables are left unanswered. */
  servesTables = true;
  /** Tables per response. */
  tablesPerResponse = 8;
  #nonce = 0;

  constructor(envoy: Envoy) {
    this.#envoy = envoy;
    envoy.grpc.onMessage = (stream, bytes) => this.#receive(stream, bytes);
  }

  /** The one live stream; throws when there is none or more than one. */
  get stream(): PeerStream {
    const live = this.#envoy.grpc.live;
    if (live.length !== 1) throw new Error(`${live.length} live streams instead of one`);
    return live[0]!;
  }

  add(tables: readonly EncodedTable[]): void {
    for (const { digest, bytes } of tables) this.tables.set(digest, bytes);
  }

  /** Sends a Stage and has the set's tables ready. Returns the nonce. */
  stage(epoch: number, set: TableSet, options: { term?: number; digest?: bigint; stream?: PeerStream } = {}): string {
    this.add(set.tables);
    const message = create(StageSchema, {
      epoch: BigInt(epoch),
      term: BigInt(options.term ?? 1),
      setDigest: options.digest ?? set.digest,
      tables: set.tables.map(({ service, digest }) => ({ service, digest })),
    });
    return this.send("Stage", [toBinary(StageSchema, message)], `${epoch}-${digestHex(set.digest)}`, options.stream);
  }

  activate(epoch: number, digest: bigint, options: { term?: number; mode?: Mode; stream?: PeerStream } = {}): string {
    const message = create(ActivationSchema, {
      epoch: BigInt(epoch),
      term: BigInt(options.term ?? 1),
      setDigest: digest,
      mode: options.mode ?? Mode.STEER,
    });
    return this.send(
      "Activation",
      [toBinary(ActivationSchema, message)],
      `${epoch}-${digestHex(digest)}`,
      options.stream,
    );
  }

  /** Sends any resources of a type; delivered when the Envoy runs next. */
  send(kind: Kind, resources: Uint8Array[], version: string, stream = this.stream): string {
    const nonce = `n${++this.#nonce}`;
    const message = create(DiscoveryResponseSchema, {
      versionInfo: version,
      typeUrl: PREFIX + kind,
      nonce,
      resources: resources.map((value) => create(AnySchema, { typeUrl: PREFIX + kind, value })),
    });
    this.#envoy.grpc.deliver(stream, toBinary(DiscoveryResponseSchema, message));
    return nonce;
  }

  /** The filter's answer to a nonce that is an ACK or a NACK of it, undefined while there is none. */
  answer(nonce: string): { ack: boolean; version: string; error: string } | undefined {
    const found = this.requests.findLast(
      ({ message, kind }) => message.responseNonce === nonce && (kind !== "WeightTable" || message.versionInfo !== ""),
    );
    if (found === undefined) return undefined;
    const { errorDetail, versionInfo } = found.message;
    return { ack: errorDetail === undefined, version: versionInfo, error: errorDetail?.message ?? "" };
  }

  /** All NACK texts so far. */
  get nacks(): { kind: Kind; text: string; version: string; code: number }[] {
    return this.requests.flatMap(({ kind, message }) =>
      message.errorDetail === undefined
        ? []
        : [
            {
              kind,
              text: message.errorDetail.message,
              version: message.versionInfo,
              code: message.errorDetail.code,
            },
          ],
    );
  }

  #receive(stream: PeerStream, bytes: Uint8Array): void {
    const message = fromBinary(DiscoveryRequestSchema, bytes);
    if (!message.typeUrl.startsWith(PREFIX)) throw new Error(`a request for ${message.typeUrl}`);
    const kind = message.typeUrl.slice(PREFIX.length) as Kind;
    this.requests.push({ stream, kind, message });
    if (kind !== "WeightTable" || !this.servesTables || message.errorDetail !== undefined) return;
    // As the server does: names that are asked for again while their response is on its way are not sent twice.
    const names = message.resourceNames.filter((name) => !this.#sent.has(`${stream.token} ${name}`));
    for (let i = 0; i < names.length; i += this.tablesPerResponse) {
      const part = names.slice(i, i + this.tablesPerResponse);
      const resources = part.flatMap((name) => {
        const digest = BigInt(`0x${name}`);
        const table = this.tables.get(digest);
        this.#sent.add(`${stream.token} ${name}`);
        return table === undefined ? [] : [toBinary(WeightTableSchema, create(WeightTableSchema, { digest, table }))];
      });
      this.send("WeightTable", resources, `t${this.#nonce}`, stream);
    }
  }
  readonly #sent = new Set<string>();

  /** Serve these digests again when they are asked for again. */
  forgetSent(): void {
    this.#sent.clear();
  }
}
