import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { digestHex } from "../../common/xxh64.ts";
import { decodeTable, tableDigest } from "../table/codec.ts";
import { setDigest } from "../table/set.ts";
import {
  type Activation,
  ActivationSchema,
  Mode,
  type Stage,
  StageSchema,
  WeightTableSchema,
} from "./proto/ballast_pb.js";
import {
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
  NodeSchema,
  StatusSchema,
} from "./proto/discovery_pb.js";
import { TYPE_URL } from "./resources.ts";

/**
 * Plays the filter of one Envoy over a real gRPC stream, for tests and benchmarks: subscribes to Stage and Activation,
 * asks for the tables that it does not hold, verifies every byte, acknowledges a Stage when all its tables are held and an
 * Activation when its set is staged. What it holds survives `close()` and `open()`, like the shared data of an Envoy.
 */
export interface SimulatedFilterOptions {
  /** Default 127.0.0.1; a certificate is checked against it. */
  host?: string;
  port: number;
  fleet: string;
  id: string;
  instance: string;
  /** Default: plain text. */
  credentials?: grpc.ChannelCredentials;
  /** A reason to refuse, or null; called before a Stage is acknowledged. */
  refuseStage?: (stage: Stage) => string | null;
  /** A reason to refuse, or null; called before an Activation is taken up. One that only passes requests through is never refused. */
  refuseActivation?: (activation: Activation) => string | null;
  /** When false the filter never answers a Stage (but fetches its tables). Read at each Stage. */
  answers?: boolean;
  onEvent?: (event: FilterEvent) => void;
}

export type FilterEvent =
  | { kind: "stage" | "activation"; epoch: number }
  | { kind: "tables"; count: number; bytes: number }
  | { kind: "staged" | "active"; epoch: number }
  | { kind: "closed"; code: number; details: string };

const METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const identity = (bytes: Buffer) => bytes;

export class SimulatedFilter {
  readonly options: SimulatedFilterOptions;
  readonly events: FilterEvent[] = [];
  readonly tables = new Map<bigint, Uint8Array>();
  answers: boolean;
  stagedVersion = "";
  activeVersion = "";
  mode = 0;
  /** The raw stream, for tests that speak out of turn. */
  call: grpc.ClientDuplexStream<Buffer, Buffer> | null = null;
  #client: grpc.Client | null = null;
  #stage: { message: Stage; response: DiscoveryResponse } | null = null;
  #activation: { message: Activation; response: DiscoveryResponse } | null = null;
  #tableNonce = "";
  #tableVersion = "";
  #waiters: { check: () => boolean; resolve: () => void }[] = [];

  constructor(options: SimulatedFilterOptions) {
    this.options = options;
    this.answers = options.answers ?? true;
  }

  open(): this {
    this.#client = new grpc.Client(
      `${this.options.host ?? "127.0.0.1"}:${this.options.port}`,
      this.options.credentials ?? grpc.credentials.createInsecure(),
      {
        "grpc.use_local_subchannel_pool": 1,
      },
    );
    const call = this.#client.makeBidiStreamRequest(METHOD, identity, identity);
    this.call = call;
    this.#tableNonce = "";
    call.on("data", (bytes: Buffer) => this.#receive(fromBinary(DiscoveryResponseSchema, bytes)));
    call.on("error", () => {});
    call.on("status", (status) => {
      if (this.call === call) this.call = null;
      this.#emit({ kind: "closed", code: status.code, details: status.details });
    });
    this.send({ typeUrl: TYPE_URL.stage, versionInfo: this.stagedVersion, resourceNames: [this.options.fleet] });
    this.send({ typeUrl: TYPE_URL.activation, versionInfo: this.activeVersion, resourceNames: [this.options.fleet] });
    return this;
  }

  /** Breaks the stream and the connection; what is held stays. */
  close(): void {
    this.call?.cancel();
    this.call = null;
    this.#client?.close();
    this.#client = null;
  }

  send(request: {
    typeUrl: string;
    versionInfo?: string;
    resourceNames?: string[];
    responseNonce?: string;
    error?: string;
  }): void {
    const { error, ...fields } = request;
    const message = create(DiscoveryRequestSchema, {
      ...fields,
      node: create(NodeSchema, {
        id: this.options.id,
        cluster: this.options.fleet,
        userAgentName: "ballast-filter",
        userAgentVersion: `0.1.0/1/${this.options.instance}`,
      }),
    });
    if (error !== undefined) message.errorDetail = create(StatusSchema, { code: 3, message: error });
    this.call?.write(Buffer.from(toBinary(DiscoveryRequestSchema, message)));
  }

  /** Resolves when `check` holds after some event; the test runner's own time limit bounds it. */
  until(check: () => boolean): Promise<void> {
    if (check()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ check, resolve }));
  }

  #receive(response: DiscoveryResponse): void {
    if (response.typeUrl === TYPE_URL.stage) {
      this.#stage = { message: fromBinary(StageSchema, response.resources[0]!.value), response };
      this.#emit({ kind: "stage", epoch: Number(this.#stage.message.epoch) });
      const missing = this.#missing();
      if (missing.length > 0) {
        this.send({
          typeUrl: TYPE_URL.table,
          resourceNames: missing,
          responseNonce: this.#tableNonce,
          versionInfo: this.#tableVersion,
        });
      }
    } else if (response.typeUrl === TYPE_URL.table) {
      this.#receiveTables(response);
    } else {
      this.#activation = { message: fromBinary(ActivationSchema, response.resources[0]!.value), response };
      this.#emit({ kind: "activation", epoch: Number(this.#activation.message.epoch) });
    }
    this.#settle();
  }

  #receiveTables(response: DiscoveryResponse): void {
    let bytes = 0;
    for (const resource of response.resources) {
      const { digest, table } = fromBinary(WeightTableSchema, resource.value);
      decodeTable(table);
      if (tableDigest(table) !== digest) throw new Error("a table came under another digest");
      this.tables.set(digest, table);
      bytes += table.length;
    }
    this.#tableNonce = response.nonce;
    this.#tableVersion = response.versionInfo;
    this.#emit({ kind: "tables", count: response.resources.length, bytes });
    this.send({
      typeUrl: TYPE_URL.table,
      versionInfo: response.versionInfo,
      responseNonce: response.nonce,
      resourceNames: this.#missing(),
    });
  }

  #missing(): string[] {
    const tables = this.#stage?.message.tables ?? [];
    return tables.filter((ref) => !this.tables.has(ref.digest)).map((ref) => digestHex(ref.digest));
  }

  #settle(): void {
    const stage = this.#stage;
    if (stage !== null && this.#missing().length === 0 && this.answers) {
      this.#stage = null;
      const { message, response } = stage;
      const wrong = setDigest(message.tables) === message.setDigest ? null : "set digest differs";
      const refusal = wrong ?? this.options.refuseStage?.(message) ?? null;
      if (refusal === null) this.stagedVersion = response.versionInfo;
      this.#answer(TYPE_URL.stage, response, this.stagedVersion, refusal);
      if (refusal === null) this.#emit({ kind: "staged", epoch: Number(message.epoch) });
    }
    const activation = this.#activation;
    if (activation !== null && activation.response.versionInfo === this.stagedVersion) {
      this.#activation = null;
      const steers = activation.message.mode !== Mode.PASSTHROUGH;
      const refusal = steers ? (this.options.refuseActivation?.(activation.message) ?? null) : null;
      if (refusal !== null) {
        this.#answer(TYPE_URL.activation, activation.response, this.activeVersion, refusal);
        return;
      }
      this.activeVersion = activation.response.versionInfo;
      this.mode = activation.message.mode;
      this.#answer(TYPE_URL.activation, activation.response, this.activeVersion, null);
      this.#emit({ kind: "active", epoch: Number(activation.message.epoch) });
    }
  }

  #answer(typeUrl: string, response: DiscoveryResponse, versionInfo: string, error: string | null): void {
    this.send({
      typeUrl,
      versionInfo,
      responseNonce: response.nonce,
      resourceNames: [this.options.fleet],
      ...(error === null ? {} : { error }),
    });
  }

  #emit(event: FilterEvent): void {
    this.events.push(event);
    this.options.onEvent?.(event);
    this.#waiters = this.#waiters.filter(({ check, resolve }) => {
      if (!check()) return true;
      resolve();
      return false;
    });
  }
}
