import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { digestHex } from "../../common/xxh64.ts";
import type { TableSet } from "../../control/table/table.ts";
import { ActivationSchema, Mode, StageSchema, WeightTableSchema } from "../../control/xds/proto/ballast_pb.js";
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../control/xds/proto/discovery_pb.js";
import { Subscription } from "../../control/xds/subscription.ts";
import type { PeerStream } from "../host/grpc.ts";
import type { Checks } from "./checks.ts";
import { MS, RaceEnvoy } from "./race-envoy.ts";
import type { Seeded } from "./seeded.ts";
import type { World } from "./world.ts";

const PREFIX = "type.googleapis.com/ballast.v1.";
type Kind = "Stage" | "WeightTable" | "Activation";

/** Longer than an Envoy waits for members that have not staged the set. */
const ACTIVATION_DEADLINE_NS = 5_000n * MS;

interface Epoch {
  readonly epoch: bigint;
  readonly set: TableSet;
  term: bigint;
  mode: Mode;
  staged: boolean;
  activated: boolean;
  /** The node will not come to this one: lower than what it has seen, or refused while its host failed. */
  refused: boolean;
  committedNs: bigint;
}

interface Sent {
  kind: Kind;
  epoch: Epoch;
  term: bigint;
  mode: Mode;
}

/** A control server that follows the protocol, with all that can happen around it: late, impatient, restarted, rolled back. */
export class ControlServer {
  readonly #envoy: RaceEnvoy;
  readonly #random: Seeded;
  readonly #world: World;
  readonly #checks: Checks;
  readonly #byDigest = new Map<bigint, Uint8Array>();
  readonly #sent = new Map<string, Sent>();
  readonly #delivered = new Map<PeerStream, bigint>();
  /** Per stream, what the real server's state machine says about its tables, and which are still to be sent. */
  readonly #tables = new Map<PeerStream, { subscription: Subscription; due: Set<string> }>();
  committed: Epoch | undefined;
  proposal: Epoch | undefined;
  readonly nacks: string[] = [];
  readonly counts = { stages: 0, activations: 0, stageAcks: 0, activationAcks: 0 };
  #epoch = 0n;
  #term = 1n;
  #nonce = 0;
  readonly #history: TableSet[] = [];

  constructor(envoy: RaceEnvoy, world: World, checks: Checks) {
    this.#envoy = envoy;
    this.#random = envoy.random;
    this.#world = world;
    this.#checks = checks;
    envoy.grpc.onMessage = (stream, bytes) => this.#receive(stream, bytes);
  }

  /** False while an epoch is under way: one set is in flight at a time, until it is answered or its deadline has passed. */
  get mayPush(): boolean {
    const { committed, proposal } = this;
    const isActivating =
      committed !== undefined &&
      !committed.activated &&
      this.#envoy.nowNs - committed.committedNs < ACTIVATION_DEADLINE_NS;
    return !isActivating && (proposal === undefined || this.#random.chance(0.1));
  }

  /** A new epoch; an unfinished stage is dropped. */
  push(options: { mode?: Mode } = {}): Epoch {
    const random = this.#random;
    const rollback = this.#history.length > 0 && random.chance(0.15);
    const set = rollback ? random.pick(this.#history.slice(-4)) : this.#world.next(random, this.committed?.set);
    this.#history.push(set);
    for (const { digest, bytes } of set.tables) this.#byDigest.set(digest, bytes);
    this.#epoch += BigInt(random.chance(0.1) ? random.between(2, 5) : 1);
    const mode = options.mode ?? (random.chance(0.08) ? random.pick([Mode.OBSERVE, Mode.PASSTHROUGH]) : Mode.STEER);
    this.proposal = {
      epoch: this.#epoch,
      set,
      term: this.#term,
      mode,
      staged: false,
      activated: false,
      refused: false,
      committedNs: 0n,
    };
    for (const stream of this.#envoy.grpc.live) this.#sendStage(stream, this.proposal);
    return this.proposal;
  }

  /** Commits whatever is staged, proved or not: an emergency, or a deadline. */
  commit(): void {
    if (this.proposal === undefined) return;
    this.committed = this.proposal;
    this.committed.committedNs = this.#envoy.nowNs;
    this.proposal = undefined;
    for (const stream of this.#envoy.grpc.live) this.#sendActivation(stream, this.committed);
  }

  /** Gives the proposal up and goes back to the committed epoch. */
  abort(): void {
    this.proposal = undefined;
    if (this.committed !== undefined && this.#random.chance(0.5)) {
      for (const stream of this.#envoy.grpc.live) this.#sendStage(stream, this.committed);
    }
  }

  changeMode(): void {
    if (this.committed === undefined || this.proposal !== undefined) return;
    this.committed.mode = this.#random.pick([Mode.STEER, Mode.STEER, Mode.PASSTHROUGH]);
    this.committed.activated = false;
    for (const stream of this.#envoy.grpc.live) this.#sendActivation(stream, this.committed);
  }

  /** Another server takes over: every stream ends, the term rises, what was proposed is forgotten. */
  restart(): void {
    this.#term++;
    this.proposal = undefined;
    if (this.committed !== undefined) this.committed.term = this.#term;
    for (const stream of this.#envoy.grpc.live) this.#envoy.grpc.closeByPeer(stream, 14);
  }

  #sendStage(stream: PeerStream, epoch: Epoch): void {
    this.#checks.allowed.add(epoch.set.digest);
    this.counts.stages++;
    const message = create(StageSchema, {
      epoch: epoch.epoch,
      term: epoch.term,
      setDigest: epoch.set.digest,
      tables: epoch.set.tables.map(({ service, digest }) => ({ service, digest })),
    });
    this.#send(stream, "Stage", [toBinary(StageSchema, message)], epoch);
  }

  #sendActivation(stream: PeerStream, epoch: Epoch): void {
    this.counts.activations++;
    const message = create(ActivationSchema, {
      epoch: epoch.epoch,
      term: epoch.term,
      setDigest: epoch.set.digest,
      mode: epoch.mode,
    });
    this.#send(stream, "Activation", [toBinary(ActivationSchema, message)], epoch);
  }

  #send(stream: PeerStream, kind: Kind, resources: Uint8Array[], about?: Epoch): string {
    const nonce = `n${++this.#nonce}`;
    const bytes = toBinary(
      DiscoveryResponseSchema,
      create(DiscoveryResponseSchema, {
        versionInfo: about === undefined ? nonce : versionOf(about),
        typeUrl: PREFIX + kind,
        nonce,
        resources: resources.map((value) => create(AnySchema, { typeUrl: PREFIX + kind, value })),
      }),
    );
    if (about !== undefined) this.#sent.set(nonce, { kind, epoch: about, term: about.term, mode: about.mode });
    // In order on its stream, after a while on the way.
    const onTheWay = BigInt(this.#random.below(this.#random.chance(0.1) ? 300_000 : 5_000)) * 1_000n;
    const before = this.#delivered.get(stream) ?? 0n;
    const atNs = this.#envoy.nowNs + onTheWay > before ? this.#envoy.nowNs + onTheWay : before + 1n;
    this.#delivered.set(stream, atNs);
    this.#envoy.at(atNs, () => {
      if (stream.ended === undefined && !stream.peerClosed) this.#envoy.grpc.deliver(stream, bytes);
    });
    return nonce;
  }

  #receive(stream: PeerStream, bytes: Uint8Array): void {
    const message = fromBinary(DiscoveryRequestSchema, bytes);
    const kind = message.typeUrl.slice(PREFIX.length) as Kind;
    if (kind === "WeightTable") {
      if (message.errorDetail !== undefined) this.nacks.push(message.errorDetail.message);
      this.#serve(stream, message);
      return;
    }
    if (message.responseNonce === "") {
      if (kind === "Stage") this.#greet(stream);
      return;
    }
    const sent = this.#sent.get(message.responseNonce);
    if (sent === undefined || sent.kind !== kind)
      throw new Error(`an answer to ${message.responseNonce}, which is no ${kind}`);
    if (message.errorDetail !== undefined) this.#refused(sent, message.errorDetail.message);
    else this.#accepted(RaceEnvoy.vmOf(stream.root), sent, message.versionInfo);
  }

  #greet(stream: PeerStream): void {
    const { committed, proposal } = this;
    if (committed !== undefined) {
      this.#sendStage(stream, committed);
      this.#sendActivation(stream, committed);
    }
    if (proposal !== undefined) this.#sendStage(stream, proposal);
  }

  /** One response at a time, as the real server. */
  #serve(stream: PeerStream, { versionInfo, responseNonce, resourceNames, errorDetail }: DiscoveryRequest): void {
    const tables = this.#tables.get(stream) ?? { subscription: new Subscription(), due: new Set<string>() };
    this.#tables.set(stream, tables);
    const { subscription, due } = tables;
    const event = subscription.receive({ versionInfo, responseNonce, resourceNames, error: errorDetail?.message });
    if (event.kind !== "stale") for (const name of event.asked) due.add(name);
    if (subscription.awaiting || due.size === 0) return;
    const names = [...due].slice(0, this.#random.pick([1, 8, 50]));
    for (const name of names) due.delete(name);
    const resources = names.map((name) => {
      const digest = BigInt(`0x${name}`);
      return toBinary(WeightTableSchema, create(WeightTableSchema, { digest, table: this.#byDigest.get(digest)! }));
    });
    const nonce = this.#send(stream, "WeightTable", resources);
    subscription.wrote(nonce, nonce);
  }

  #accepted(leader: ReturnType<typeof RaceEnvoy.vmOf>, sent: Sent, version: string): void {
    const { epoch } = sent;
    if (version !== versionOf(epoch)) throw new Error(`an ACK of ${versionOf(epoch)} with version ${version}`);
    const isStage = sent.kind === "Stage";
    this.#checks.acknowledged(leader, isStage ? "stage" : "activation", epoch.epoch, epoch.set.digest, sent.mode);
    if (isStage) {
      this.counts.stageAcks++;
      epoch.staged = true;
      // The commit follows, or somebody thinks for a while.
      const later = this.#random.chance(0.7) ? 0 : this.#random.below(1_500);
      this.#envoy.at(this.#envoy.nowNs + BigInt(later) * MS, () => {
        if (epoch === this.proposal) this.commit();
      });
    } else {
      this.counts.activationAcks++;
      if (sent.mode === epoch.mode && sent.term === epoch.term) epoch.activated = true;
    }
  }

  #refused(sent: Sent, reason: string): void {
    this.nacks.push(`${sent.kind} ${sent.epoch.epoch}: ${reason}`);
    if (/^(EPOCH_STALE|HANDOVER_FAILED)/.test(reason)) sent.epoch.refused = true;
    if (sent.epoch === this.proposal) this.abort();
  }
}

export function versionOf({ epoch, set }: Pick<Epoch, "epoch" | "set">): string {
  return `${epoch}-${digestHex(set.digest)}`;
}
