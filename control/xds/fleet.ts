import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { digestHex, parseDigestHex } from "../../common/xxh64.ts";
import type { EncodedTable, TableSet } from "../table/table.ts";
import { EncodedRelease, type Release } from "./encoded-release.ts";
import { type NodeEntry, type NodeIdentity, NodeTable, nodeKey } from "./nodes.ts";
import {
  type ActivationMode,
  type EncodedResponse,
  encodeTables,
  epochOf,
  type ResourceKind,
  versionOf,
} from "./resources.ts";
import { type Quorum, Round, type RoundOutcome } from "./round.ts";
import { Subscription, type SubscriptionRequest } from "./subscription.ts";

export type { Release } from "./encoded-release.ts";

/** What the store knows when a server starts (or takes over). */
export interface FleetMemory {
  /** Highest epoch ever reserved. */
  reservedEpoch: number;
  /** The epoch in force, or null before the first. */
  committed: (Release & { mode: ActivationMode }) | null;
  /** Earlier sets, newest first, whose tables nodes may still ask for. */
  kept?: readonly TableSet[];
  /** Nodes that failed to activate the epoch in force. */
  quarantined?: readonly (NodeIdentity & { reason: string })[];
}

/** One open stream. The fleet keeps the protocol's state in it; the server keeps the socket behind `handle`. */
export interface FleetStream<Handle> {
  readonly handle: Handle;
  readonly subscriptions: Record<ResourceKind, Subscription>;
  node: NodeEntry<FleetStream<Handle>> | null;
  /** Digests asked for (or offered, see #offer) and not yet sent, oldest first; bounded by maxNames. Never changed in place. */
  wanted: readonly bigint[];
}

/** What the fleet asks of its surroundings. None of these may call back into the fleet before they return. */
export interface FleetEffects<Handle> {
  /** `next()` may have something new for this stream. */
  wake(stream: FleetStream<Handle>): void;
  /** The stream was replaced by a newer one of the same node, or may not go on; close it. */
  close(stream: FleetStream<Handle>, code: "aborted" | "unavailable", reason: string): void;
  roundEnded(outcome: RoundOutcome): void;
  /** EPOCH_BEHIND_FLEET was found: nothing is pushed any more until `raiseReserved`. */
  behind(error: BallastError, node: NodeIdentity, epoch: number): void;
  warn(stream: FleetStream<Handle>, text: string): void;
  /** The node failed to activate the epoch in force and is told to pass requests through. */
  quarantined(node: NodeIdentity, epoch: number, reason: string): void;
}

/** Sets before those in force whose tables are kept for nodes that ask. */
const KEPT_BEFORE = 2;
/** Consecutive failures after which a node has no vote. */
const FAILURES_WITHOUT_VOTE = 2;

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
  readonly #streams = new Set<FleetStream<Handle>>();

  #reservedEpoch = 0;
  #committed: EncodedRelease | null = null;
  #staged: EncodedRelease | null = null;
  /** The stage round of #staged, open or proved: its voters are those who are sent the staged set before commit. */
  #stageRound: Round | null = null;
  /** The open round, if any, and what it is about. */
  #round: Round | null = null;
  #roundRelease: EncodedRelease | null = null;
  /** Reasons by node key, of the epoch in force: for nodes that come back after this server started. */
  #quarantineMemory: ReadonlyMap<string, string> = new Map();
  #keptSets: TableSet[] = [];
  #tables: Map<bigint, EncodedTable> = new Map();
  /** The last table response of each list of digests, so that a whole fleet that asks alike is served one encoding. */
  #tableResponses = new Map<string, EncodedResponse & { count: number }>();
  /** Per staged set: what it changes against those in force, when one response carries it. Sent along with the Stage. */
  #offers: { digests: readonly bigint[]; response: EncodedResponse & { count: number } }[] = [];
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
    this.#inheritVote(entry);
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
    if (kind === "table") this.#noteAsked(stream, event.asked);
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
    const stage = this.#newer(stream, "stage", release?.at(node.position).stage ?? null);
    if (stage !== null) return stage;
    const tables = this.#nextTables(stream, node);
    if (tables !== null) return tables;
    const committed = this.#committed?.at(node.position) ?? null;
    if (committed !== null && node.quarantine?.epoch === committed.activation.epoch) {
      const { names, nonce } = stream.subscriptions.activation;
      return nonce !== committed.passthrough.nonce && names.has(this.#name) ? committed.passthrough : null;
    }
    return this.#newer(stream, "activation", committed?.activation ?? null);
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
    for (const set of kept) {
      if (this.#keptSets.length >= this.#setsInForce + KEPT_BEFORE) break;
      if (!this.#keptSets.some((other) => other.digest === set.digest)) this.#keptSets.push(set);
    }
    this.#indexTables();
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
    for (const node of this.nodes.values()) {
      highest = Math.max(highest, epochOf(node.stagedVersion), epochOf(node.activeVersion));
    }
    return highest;
  }

  /** Throws PUSH_IN_FLIGHT, XDS_SILENT, EPOCH_BEHIND_FLEET or SET_TOO_LARGE; otherwise a round is open. */
  stage(release: Release, options: { deadlineMs: number; quorum: Quorum }): void {
    this.#mustServe();
    if (this.#staged !== null) {
      throw new BallastError("PUSH_IN_FLIGHT", `epoch ${this.#staged.epoch} is staged: activate or abort it first`);
    }
    if (this.#round !== null)
      throw new BallastError("PUSH_IN_FLIGHT", `epoch ${this.#round.options.epoch} is being activated`);
    if (!Number.isSafeInteger(release.epoch) || release.epoch <= (this.#committed?.epoch ?? 0)) {
      throw new BallastError("STORE_CONFLICT", `epoch ${release.epoch} is not above ${this.#committed?.epoch ?? 0}`);
    }
    // Throws before anything changes. The mode is named at the activation.
    const encoded = new EncodedRelease(release, "steer");
    this.#reservedEpoch = Math.max(this.#reservedEpoch, release.epoch);
    this.#staged = encoded;
    this.#indexTables();
    const members = [...this.nodes.values()].filter((node) => this.#subscribes(node, "stage"));
    const reliable = members.filter((node) => node.failures < FAILURES_WITHOUT_VOTE);
    // Should every node have failed, all are asked again: an epoch is never committed unproved while somebody could prove it.
    const voters = reliable.length > 0 ? reliable : members;
    this.#stageRound = this.#startRound("stage", encoded, options.quorum, options.deadlineMs, voters);
    this.#offerChanges(encoded, voters);
    for (const node of voters) if (node.stream !== null) this.#effects.wake(node.stream);
    this.#settle();
  }

  /** Withdraws the staged set. What nodes have staged stays with them, unused, until a higher epoch comes. */
  abort(reason: string): void {
    this.#stageRound?.abort(reason, this.#clock.monotonicMs());
    this.#settle();
    this.#dropStaged();
  }

  /** Puts the staged set in force; the caller has committed its epoch in the store. There is no way back. */
  activate(options: { epoch: number; mode: ActivationMode; deadlineMs: number }): void {
    this.#mustServe();
    const release = this.#staged;
    if (release === null || release.epoch !== options.epoch || this.#round !== null) {
      throw new BallastError("PUSH_IN_FLIGHT", `epoch ${options.epoch} is not staged and proved`);
    }
    const stageRound = this.#stageRound;
    const voters = [...this.nodes.values()].filter(
      (node) => stageRound?.has(node.key) === true && node.stagedVersion === release.versionAt(node.position),
    );
    const committed = this.#setCommitted(release.release, options.mode);
    this.#dropStaged();
    this.#startRound("activate", committed, "whoever", options.deadlineMs, voters);
    this.#wakeAll();
    this.#settle();
  }

  /** Ends the open round if its deadline has passed. */
  expire(): void {
    this.#round?.expire(this.#clock.monotonicMs());
    this.#settle();
  }

  /** Stops pushing and closes every stream: what the server believes can no longer be confirmed. */
  silence(reason: string): void {
    if (this.#silent !== null) return;
    this.#silent = reason;
    this.#round?.abort(`silent: ${reason}`, this.#clock.monotonicMs());
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
  isAhead(node: NodeEntry<FleetStream<Handle>>): boolean {
    return this.#committed?.isAhead(node.position) ?? true;
  }

  /** The version that the node is to use; "" before the first epoch. */
  versionFor(node: NodeEntry<FleetStream<Handle>>): string {
    return this.#committed?.versionAt(node.position) ?? "";
  }

  /** Remaining time of the open round, or null. */
  get deadlineInMs(): number | null {
    return this.#round === null ? null : Math.max(0, this.#round.options.deadlineAtMs - this.#clock.monotonicMs());
  }

  // ── Inside ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #mustServe(): void {
    if (this.#behind !== null) throw this.#behind;
    if (this.#silent !== null) throw new BallastError("XDS_SILENT", this.#silent);
  }

  #hasVote(node: NodeEntry<FleetStream<Handle>>): boolean {
    return this.#staged !== null && this.#stageRound?.has(node.key) === true;
  }

  #subscribes(node: NodeEntry<FleetStream<Handle>>, kind: ResourceKind): boolean {
    return node.stream?.subscriptions[kind].names.has(this.#name) === true;
  }

  /** The response, if the stream wants the type and neither holds nor was sent anything as new. */
  #newer(stream: FleetStream<Handle>, kind: ResourceKind, response: EncodedResponse | null): EncodedResponse | null {
    if (response === null) return null;
    const { names, newestEpoch } = stream.subscriptions[kind];
    return response.epoch > newestEpoch && names.has(this.#name) ? response : null;
  }

  #nextTables(
    stream: FleetStream<Handle>,
    node: NodeEntry<FleetStream<Handle>>,
  ): (EncodedResponse & { count: number }) | null {
    const subscription = stream.subscriptions.table;
    if (stream.wanted.length === 0 || subscription.awaiting) return null;
    const offer = this.#offers.find(({ digests }) => digests === stream.wanted);
    if (offer !== undefined) return offer.response;
    // Sets may have been dropped since the request; what is gone cannot be served any more.
    stream.wanted = stream.wanted.filter((digest) => this.#tables.has(digest));
    if (stream.wanted.length === 0) return null;
    const version = this.#staged?.versionAt(node.position) ?? this.versionFor(node);
    const key = `${version}/${stream.wanted.join()}`;
    let response = this.#tableResponses.get(key);
    if (response === undefined || response.nonce === subscription.nonce) {
      const again = response !== undefined;
      response = encodeTables(
        version,
        stream.wanted.map((digest) => this.#tables.get(digest)!),
        again,
      );
      // A handful of lists covers a fleet whose nodes missed the same epochs; the oldest makes room.
      if (this.#tableResponses.size >= 64) this.#tableResponses.delete(this.#tableResponses.keys().next().value!);
      if (!again) this.#tableResponses.set(key, response);
    }
    return response;
  }

  /**
   * Sends the tables that no kept set has right behind the Stage to every node that holds the set in force: it lacks these. Its own request for them crosses the response and is stale. That saves a round trip, and per node a write
   * and a read of the server's; the filter takes tables of the set that it is staging whether or not it has asked yet.
   */
  #offerChanges(staged: EncodedRelease, voters: readonly NodeEntry<FleetStream<Handle>>[]): void {
    const committed = this.#committed;
    if (committed === null) return;
    // Nodes keep the last sets as we do; should one of them lack an earlier table, it asks.
    const held = new Set(this.#keptSets.flatMap((set) => set.tables.map((table) => table.digest)));
    for (const set of staged.sets) {
      const changed = set.tables.filter((table) => !held.has(table.digest));
      if (changed.length === 0 || changed.length > this.#maxNames) continue;
      const version = versionOf(staged.epoch, set.digest);
      const response = encodeTables(version, changed, false);
      if (response.count < changed.length) continue;
      const offer = { digests: changed.map((table) => table.digest), response };
      this.#offers.push(offer);
      for (const { stream, stagedVersion, position } of voters) {
        if (stream === null || stream.wanted.length > 0 || staged.versionAt(position) !== version) continue;
        if (stagedVersion !== committed.versionAt(position)) continue;
        const { started, awaiting } = stream.subscriptions.table;
        if (started && !awaiting) stream.wanted = offer.digests;
      }
    }
  }

  #noteAsked(stream: FleetStream<Handle>, asked: readonly string[]): void {
    const names = stream.subscriptions.table.names;
    const wanted = new Set(stream.wanted.filter((digest) => names.has(digestHex(digest))));
    const unknown: string[] = [];
    for (const name of asked) {
      const digest = parseDigestHex(name);
      if (digest !== null && this.#tables.has(digest)) wanted.add(digest);
      else unknown.push(name);
    }
    stream.wanted = [...wanted];
    if (unknown.length > 0) {
      const more = unknown.length > 3 ? ` and ${unknown.length - 3} more` : "";
      this.#effects.warn(stream, `asks for tables that are not held: ${unknown.slice(0, 3).join(", ")}${more}`);
    }
  }

  #noteHeld(
    stream: FleetStream<Handle>,
    node: NodeEntry<FleetStream<Handle>>,
    kind: "stage" | "activation",
    version: string,
  ): void {
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
      this.#round?.abort(this.#behind.message, this.#clock.monotonicMs());
      this.#settle();
      this.#effects.behind(this.#behind, node, epoch);
      return;
    }
    const round = this.#round;
    if (
      round !== null &&
      this.#roundRelease?.versionAt(node.position) === version &&
      (round.options.kind === "stage") === (kind === "stage")
    ) {
      node.failures = 0;
      round.answer(node.key, "ack", this.#clock.monotonicMs());
      this.#settle();
    } else if (version !== "" && stream.subscriptions[kind].sent === version && node.quarantine === null) {
      node.failures = 0;
    }
  }

  #noteNack(node: NodeEntry<FleetStream<Handle>>, kind: ResourceKind, version: string, reason: string): void {
    const short = reason.slice(0, 512);
    // The first refusal of a version says why; a table that came along with a refused Stage may be refused after it.
    if (node.lastNack?.version !== version) {
      node.lastNack = { type: kind, version, reason: short, atMs: this.#clock.nowMs() };
    }
    if (kind === "activation" && version === this.versionFor(node)) this.#quarantine(node, short);
    const round = this.#round;
    if (round === null || this.#roundRelease?.versionAt(node.position) !== version) return;
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
  #quarantine(node: NodeEntry<FleetStream<Handle>>, reason: string): void {
    const epoch = this.#committed!.epoch;
    if (node.quarantine?.epoch === epoch) return;
    node.quarantine = { epoch, reason };
    this.#effects.quarantined(node, epoch, reason);
    if (node.stream !== null) this.#effects.wake(node.stream);
  }

  /** A restarted process takes over the open vote of its predecessor when that one's stream is gone. */
  #inheritVote(entry: NodeEntry<FleetStream<Handle>>): void {
    const round = this.#stageRound;
    if (this.#round === null || round === null || this.#round !== round || round.has(entry.key)) return;
    for (const other of this.nodes.values()) {
      if (other.id === entry.id && other.stream === null && round.has(other.key)) {
        round.inherit(other.key, entry);
        return;
      }
    }
  }

  #startRound(
    kind: "stage" | "activate",
    release: EncodedRelease,
    quorum: Quorum,
    deadlineMs: number,
    voters: Iterable<{ key: string; id: string; instance: string }>,
  ): Round {
    const startedAtMs = this.#clock.monotonicMs();
    const { version } = release;
    const { epoch, term } = release.release;
    this.#roundRelease = release;
    this.#round = new Round(
      { kind, epoch, term, version, quorum, startedAtMs, deadlineAtMs: startedAtMs + deadlineMs },
      voters,
    );
    return this.#round;
  }

  /** Reports the open round when it has ended. A stage that was not proved is withdrawn. */
  #settle(): void {
    const round = this.#round;
    const outcome = round?.outcome;
    if (round === null || outcome === null || outcome === undefined) return;
    this.#round = null;
    // Who was cut short by another's refusal or by us has not failed.
    const lateIsFailure = outcome.result === "timed_out" || outcome.result === "proved";
    for (const { id, instance, answer } of outcome.nodes) {
      const node = this.nodes.get(nodeKey({ id, instance }));
      if (node !== undefined && (answer === "nack" || (answer === "none" && lateIsFailure))) node.failures += 1;
    }
    if (outcome.kind === "stage" && !outcome.ok) this.#dropStaged();
    this.#effects.roundEnded(outcome);
  }

  #setCommitted(release: Release, mode: ActivationMode): EncodedRelease {
    const committed = new EncodedRelease(release, mode);
    this.#committed = committed;
    const digests = new Set(committed.sets.map((set) => set.digest));
    const earlier = this.#keptSets.filter((set) => !digests.has(set.digest));
    this.#keptSets = [...committed.sets, ...earlier].slice(0, this.#setsInForce + KEPT_BEFORE);
    this.#quarantineMemory = new Map();
    this.#indexTables();
    return committed;
  }

  /** Two while a cohort goes ahead. */
  get #setsInForce(): number {
    return this.#committed?.sets.length ?? 1;
  }

  #dropStaged(): void {
    this.#staged = null;
    this.#stageRound = null;
    this.#offers = [];
    this.#indexTables();
  }

  #indexTables(): void {
    this.#tables = new Map();
    for (const set of [...this.#keptSets, ...(this.#staged?.sets ?? [])]) {
      for (const table of set.tables) this.#tables.set(table.digest, table);
    }
    this.#tableResponses.clear();
  }

  #wakeAll(): void {
    for (const stream of this.#streams) this.#effects.wake(stream);
  }
}
