import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { EncodedRelease, type Release } from "./encoded-release.ts";
import { FleetRounds, votersOf } from "./fleet-rounds.ts";
import {
  type FleetEffects,
  type FleetMemory,
  type FleetNode,
  type FleetStream,
  newerThanHeld,
  subscribes,
} from "./fleet-stream.ts";
import { FleetTables } from "./fleet-tables.ts";
import { type NodeIdentity, NodeTable, nodeKey } from "./nodes.ts";
import { type ActivationMode, type EncodedResponse, epochOf, type ResourceKind } from "./resources.ts";
import type { Quorum } from "./round.ts";
import { Subscription, type SubscriptionRequest } from "./subscription.ts";

export type { Release } from "./encoded-release.ts";
export type { FleetEffects, FleetMemory, FleetStream } from "./fleet-stream.ts";

/**
 * The whole protocol of one fleet without any I/O: requests and a clock go in, `next()` says what each stream gets.
 *
 * Guarantees: a stream is never sent an epoch below one it holds or was sent; a node that joined after a stage began is
 * sent the committed epoch only; per type only the newest version is ever waiting; tables are sent one response at a time.
 * While a cohort goes ahead an epoch has two sets, and which one a node is sent, proves and uses depends on its id alone.
 */
export class Fleet<Handle> {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #effects: FleetEffects<Handle>;
  readonly #maxNames: number;
  readonly nodes: NodeTable<FleetStream<Handle>>;
  readonly #rounds: FleetRounds<FleetStream<Handle>>;
  readonly #tables: FleetTables;
  readonly #streams = new Set<FleetStream<Handle>>();

  #reservedEpoch = 0;
  #committed: EncodedRelease | null = null;
  #staged: EncodedRelease | null = null;
  /** Reasons by node key, of the epoch in force: for nodes that come back after this server started. */
  #quarantineMemory: ReadonlyMap<string, string> = new Map();
  #silent: string | null = null;
  #behind: BallastError | null = null;

  constructor(options: {
    fleet: string;
    clock: Clock;
    effects: FleetEffects<Handle>;
    maxNodes: number;
    maxNames: number;
  }) {
    this.#name = options.fleet;
    this.#clock = options.clock;
    this.#effects = options.effects;
    this.#maxNames = options.maxNames;
    this.nodes = new NodeTable(options.maxNodes);
    this.#rounds = new FleetRounds(this.nodes);
    this.#tables = new FleetTables(options.maxNames);
  }

  // ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────────

  open(handle: Handle): FleetStream<Handle> {
    const stream: FleetStream<Handle> = {
      handle,
      subscriptions: { stage: new Subscription(), table: new Subscription(), activation: new Subscription() },
      node: null,
      wanted: [],
    };
    this.#streams.add(stream);
    return stream;
  }

  /** Names the node behind a stream; the first request must do so. */
  identify(stream: FleetStream<Handle>, node: NodeIdentity & { moduleVersion: string }): void {
    const key = nodeKey(node);
    if (stream.node !== null) {
      if (stream.node.key !== key) this.#effects.warn(stream, "the node changed its identity within a stream");
      return;
    }
    const { entry, replaced } = this.nodes.attach(node, stream, this.#clock.nowMs());
    stream.node = entry;
    if (replaced !== null && replaced !== stream) {
      replaced.node = null;
      this.#streams.delete(replaced);
      this.#effects.close(replaced, "aborted", "replaced by a newer stream of the same node");
    }
    const reason = this.#quarantineMemory.get(key);
    if (reason !== undefined && this.#committed !== null) entry.quarantine ??= { epoch: this.#committed.epoch, reason };
    this.#rounds.inheritVote(entry);
  }

  receive(stream: FleetStream<Handle>, kind: ResourceKind, request: SubscriptionRequest): void {
    const { node } = stream;
    if (node === null) throw new Error("a request came before its stream was identified");
    if (request.resourceNames.length > this.#maxNames) {
      this.#effects.warn(
        stream,
        `${request.resourceNames.length} resource names: at most ${this.#maxNames} are served`,
      );
      request = { ...request, resourceNames: request.resourceNames.slice(0, this.#maxNames) };
    }
    const subscription = stream.subscriptions[kind];
    const event = subscription.receive(request);
    if (event.kind === "stale") return;
    if (kind === "table") this.#noteUnknown(stream, this.#tables.ask(stream, event.asked));
    else if (!subscription.names.has(this.#name) && event.kind === "first") {
      this.#effects.warn(
        stream,
        `asks for ${kind} of ${[...subscription.names].join()}: this server serves ${this.#name}`,
      );
    }
    switch (event.kind) {
      case "first":
        if (kind !== "table") this.#noteHeld(stream, node, kind, event.held);
        break;
      case "ack":
        if (kind !== "table") this.#noteHeld(stream, node, kind, event.version);
        break;
      case "nack":
        this.#noteNack(node, kind, event.version, event.reason);
        break;
      case "ask":
        break;
    }
    this.#effects.wake(stream);
  }

  close(stream: FleetStream<Handle>): void {
    this.#streams.delete(stream);
    const { node } = stream;
    stream.node = null;
    if (node !== null && node.stream === stream) this.nodes.detach(node);
  }

  /** The next response for a stream, or null. Call `wrote` when it was handed to the socket. */
  next(stream: FleetStream<Handle>): (EncodedResponse & { count?: number }) | null {
    const { node } = stream;
    if (this.#silent !== null || this.#behind !== null || node === null) return null;
    const release = this.#hasVote(node) ? this.#staged : this.#committed;
    const stage = newerThanHeld(stream, release?.at(node.position).stage ?? null, this.#name);
    if (stage !== null) return stage;
    if (stream.wanted.length > 0) {
      const version = this.#staged?.versionAt(node.position) ?? this.versionFor(node);
      const tables = this.#tables.next(stream, version);
      if (tables !== null) return tables;
    }
    const committed = this.#committed?.at(node.position) ?? null;
    if (committed !== null && node.quarantine?.epoch === committed.activation.epoch) {
      const { names, nonce } = stream.subscriptions.activation;
      return nonce !== committed.passthrough.nonce && names.has(this.#name) ? committed.passthrough : null;
    }
    return newerThanHeld(stream, committed?.activation ?? null, this.#name);
  }

  wrote(stream: FleetStream<Handle>, response: EncodedResponse & { count?: number }): void {
    if (response.kind === "table") stream.wanted = stream.wanted.slice(response.count ?? 0);
    stream.subscriptions[response.kind].wrote(response.version, response.nonce);
  }

  // ── Epochs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Puts in force what the store says; nodes that hold less are brought up to it. Never goes back. */
  restore(memory: FleetMemory): void {
    const { committed, kept = [] } = memory;
    this.raiseReserved(Math.max(memory.reservedEpoch, committed?.epoch ?? 0));
    if (committed !== null && (this.#committed === null || committed.epoch > this.#committed.epoch)) {
      this.#setCommitted(committed, committed.mode);
      this.#quarantineMemory = new Map((memory.quarantined ?? []).map((node) => [nodeKey(node), node.reason]));
      if (this.#staged !== null && this.#staged.epoch <= committed.epoch) this.abort("a higher epoch is in force");
    }
    this.#tables.keep(kept);
    this.#wakeAll();
  }

  /** Tells that the store has reserved up to this epoch; also ends EPOCH_BEHIND_FLEET once it covers what nodes hold. */
  raiseReserved(epoch: number): void {
    this.#reservedEpoch = Math.max(this.#reservedEpoch, epoch);
    if (this.#behind === null || this.highestHeld() > this.#reservedEpoch) return;
    this.#behind = null;
    this.#wakeAll();
  }

  /** Highest epoch that any remembered node has said it holds. */
  highestHeld(): number {
    let highest = 0;
    for (const { stagedVersion, activeVersion } of this.nodes.values())
      highest = Math.max(highest, epochOf(stagedVersion), epochOf(activeVersion));
    return highest;
  }

  /** Throws PUSH_IN_FLIGHT, XDS_SILENT, EPOCH_BEHIND_FLEET or SET_TOO_LARGE; otherwise a round is open. */
  stage(release: Release, options: { deadlineMs: number; quorum: Quorum }): void {
    this.#mustServe();
    if (this.#staged !== null) {
      throw new BallastError("PUSH_IN_FLIGHT", `epoch ${this.#staged.epoch} is staged: activate or abort it first`);
    }
    const { open } = this.#rounds;
    if (open !== null) throw new BallastError("PUSH_IN_FLIGHT", `epoch ${open.options.epoch} is being activated`);
    if (!Number.isSafeInteger(release.epoch) || release.epoch <= (this.#committed?.epoch ?? 0)) {
      throw new BallastError("STORE_CONFLICT", `epoch ${release.epoch} is not above ${this.#committed?.epoch ?? 0}`);
    }
    // Throws before anything changes. The mode is named at the activation.
    const encoded = new EncodedRelease(release, "steer");
    this.#reservedEpoch = Math.max(this.#reservedEpoch, release.epoch);
    this.#staged = encoded;
    this.#tables.stage(encoded);
    const members = [...this.nodes.values()].filter(
      (node) => node.stream !== null && subscribes(node.stream, "stage", this.#name),
    );
    const voters = votersOf(members);
    const startedAtMs = this.#clock.monotonicMs();
    this.#rounds.start("stage", encoded, { ...options, startedAtMs }, voters);
    if (this.#committed !== null) this.#tables.offer(encoded, this.#committed, voters);
    for (const node of voters) if (node.stream !== null) this.#effects.wake(node.stream);
    this.#settle();
  }

  /** Withdraws the staged set. What nodes have staged stays with them, unused, until a higher epoch comes. */
  abort(reason: string): void {
    this.#rounds.abortStage(reason, this.#clock.monotonicMs());
    this.#settle();
    this.#dropStaged();
  }

  /** Puts the staged set in force; the caller has committed its epoch in the store. There is no way back. */
  activate(options: { epoch: number; mode: ActivationMode; deadlineMs: number }): void {
    this.#mustServe();
    const release = this.#staged;
    if (release === null || release.epoch !== options.epoch || this.#rounds.open !== null) {
      throw new BallastError("PUSH_IN_FLIGHT", `epoch ${options.epoch} is not staged and proved`);
    }
    const voters = [...this.nodes.values()].filter(
      (node) => this.#rounds.hasStageVote(node) && node.stagedVersion === release.versionAt(node.position),
    );
    const committed = this.#setCommitted(release.release, options.mode);
    this.#dropStaged();
    const { deadlineMs } = options;
    const startedAtMs = this.#clock.monotonicMs();
    this.#rounds.start("activate", committed, { quorum: "whoever", startedAtMs, deadlineMs }, voters);
    this.#wakeAll();
    this.#settle();
  }

  /** Ends the open round if its deadline has passed. */
  expire(): void {
    this.#rounds.open?.expire(this.#clock.monotonicMs());
    this.#settle();
  }

  /** Stops pushing and closes every stream: what the server believes can no longer be confirmed. */
  silence(reason: string): void {
    if (this.#silent !== null) return;
    this.#silent = reason;
    this.#rounds.open?.abort(`silent: ${reason}`, this.#clock.monotonicMs());
    this.#settle();
    for (const stream of [...this.#streams]) {
      this.close(stream);
      this.#effects.close(stream, "unavailable", reason);
    }
  }

  resume(): void {
    this.#silent = null;
  }

  get silent(): string | null {
    return this.#silent;
  }

  get behind(): BallastError | null {
    return this.#behind;
  }

  get committedVersion(): string {
    return this.#committed?.version ?? "";
  }

  get stagedVersion(): string {
    return this.#staged?.version ?? "";
  }

  /** Whether the node gets the set of the epoch in force, and not what the rest of the fleet keeps. */
  isAhead(node: FleetNode<Handle>): boolean {
    return this.#committed?.isAhead(node.position) ?? true;
  }

  /** The version that the node is to use; "" before the first epoch. */
  versionFor(node: FleetNode<Handle>): string {
    return this.#committed?.versionAt(node.position) ?? "";
  }

  /** Remaining time of the open round, or null. */
  get deadlineInMs(): number | null {
    const { open } = this.#rounds;
    return open === null ? null : Math.max(0, open.options.deadlineAtMs - this.#clock.monotonicMs());
  }

  // ── Inside ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #mustServe(): void {
    if (this.#behind !== null) throw this.#behind;
    if (this.#silent !== null) throw new BallastError("XDS_SILENT", this.#silent);
  }

  #hasVote(node: FleetNode<Handle>): boolean {
    return this.#staged !== null && this.#rounds.hasStageVote(node);
  }

  #noteUnknown(stream: FleetStream<Handle>, unknown: readonly string[]): void {
    if (unknown.length === 0) return;
    const more = unknown.length > 3 ? ` and ${unknown.length - 3} more` : "";
    this.#effects.warn(stream, `asks for tables that are not held: ${unknown.slice(0, 3).join(", ")}${more}`);
  }

  #noteHeld(stream: FleetStream<Handle>, node: FleetNode<Handle>, kind: "stage" | "activation", version: string): void {
    const epoch = epochOf(version);
    if (epoch > 0) {
      if (kind === "stage") node.stagedVersion = version;
      else node.activeVersion = version;
    }
    if (kind === "activation" && node.quarantine !== null && epoch > node.quarantine.epoch) node.quarantine = null;
    const split = epoch === this.#committed?.epoch && version !== this.versionFor(node);
    if (epoch > this.#reservedEpoch || split) {
      const what = split
        ? "other tables under the epoch in force"
        : `a higher epoch than the store's ${this.#reservedEpoch}`;
      this.#behind ??= new BallastError("EPOCH_BEHIND_FLEET", `node ${node.id} holds ${version}: ${what}`);
      this.#rounds.open?.abort(this.#behind.message, this.#clock.monotonicMs());
      this.#settle();
      this.#effects.behind(this.#behind, node, epoch);
      return;
    }
    const round = this.#rounds.about(node, version);
    if (round !== null && (round.options.kind === "stage") === (kind === "stage")) {
      node.failures = 0;
      round.answer(node.key, "ack", this.#clock.monotonicMs());
      this.#settle();
    } else if (version !== "" && stream.subscriptions[kind].sent === version && node.quarantine === null) {
      node.failures = 0;
    }
  }

  #noteNack(node: FleetNode<Handle>, kind: ResourceKind, version: string, reason: string): void {
    const short = reason.slice(0, 512);
    // The first refusal of a version says why; a table that came along with a refused Stage may be refused after it.
    if (node.lastNack?.version !== version) {
      node.lastNack = { type: kind, version, reason: short, atMs: this.#clock.nowMs() };
    }
    if (kind === "activation" && version === this.versionFor(node)) this.#quarantine(node, short);
    const round = this.#rounds.about(node, version);
    if (round === null) return;
    const ofStage = round.options.kind === "stage";
    // A refused table refuses the set that it belongs to.
    if (ofStage ? kind === "activation" : kind !== "activation") return;
    round.answer(node.key, "nack", this.#clock.monotonicMs(), kind === "table" ? `table: ${short}` : short);
    this.#settle();
  }

  /**
   * For a node that refuses; one that is silent may still be on its way to the epoch, and would be taken from it by a PASSTHROUGH that
   * comes behind. Whoever of the node's workers follows it passes requests through from now on; a worker that refuses the set goes on as
   * before. A higher epoch is a new beginning.
   */
  #quarantine(node: FleetNode<Handle>, reason: string): void {
    const epoch = this.#committed!.epoch;
    if (node.quarantine?.epoch === epoch) return;
    node.quarantine = { epoch, reason };
    this.#effects.quarantined(node, epoch, reason);
    if (node.stream !== null) this.#effects.wake(node.stream);
  }

  /** Reports the open round when it has ended. A stage that was not proved is withdrawn. */
  #settle(): void {
    const outcome = this.#rounds.settle();
    if (outcome === null) return;
    if (outcome.kind === "stage" && !outcome.ok) this.#dropStaged();
    this.#effects.roundEnded(outcome);
  }

  #setCommitted(release: Release, mode: ActivationMode): EncodedRelease {
    const committed = new EncodedRelease(release, mode);
    this.#committed = committed;
    this.#quarantineMemory = new Map();
    this.#tables.commit(committed);
    return committed;
  }

  #dropStaged(): void {
    this.#staged = null;
    this.#rounds.forgetStage();
    this.#tables.stage(null);
  }

  #wakeAll(): void {
    for (const stream of this.#streams) this.#effects.wake(stream);
  }
}
