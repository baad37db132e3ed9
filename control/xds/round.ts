/**
 * One phase of one epoch over the fleet: who was asked, who answered what and when. Pure: times are milliseconds of one
 * monotonic clock and come with the events.
 */
export type RoundKind = "stage" | "activate";

/**
 * - all: proved when every voter acknowledged; the first refusal ends it.
 * - whoever: takes what there is when all have answered or the deadline passes; proved when at least one voter
 *   acknowledged or there was none to ask. Activations are always of this kind: after commit there is only forward.
 */
export type Quorum = "all" | "whoever";

/**
 * - proved: the quorum was reached (with `whoever`, see the nodes for those that did not answer).
 * - refused: a NACK (or with `whoever` nobody acknowledged, and somebody refused).
 * - timed_out: the deadline passed first.
 * - aborted: the caller gave up, or the server fell silent or behind the fleet; `reason` says which.
 */
export type RoundResult = "proved" | "refused" | "timed_out" | "aborted";

export interface NodeAnswer {
  id: string;
  instance: string;
  answer: "ack" | "nack" | "none";
  /** Milliseconds from the start of the round; null without an answer. */
  afterMs: number | null;
  reason?: string;
}

export interface RoundOutcome {
  kind: RoundKind;
  epoch: number;
  term: number;
  version: string;
  quorum: Quorum;
  /** True for `proved`: the caller may commit (after stage) or count the epoch as active (after activate). */
  ok: boolean;
  result: RoundResult;
  reason: string;
  /** From the start to the end of the round. */
  tookMs: number;
  /** First and last acknowledgement after the start: their distance is the fleet's skew. Null without any. */
  firstAckMs: number | null;
  lastAckMs: number | null;
  acks: number;
  nodes: readonly NodeAnswer[];
}

interface Vote extends NodeAnswer {
  answer: NodeAnswer["answer"];
}

export interface RoundOptions {
  kind: RoundKind;
  epoch: number;
  term: number;
  version: string;
  quorum: Quorum;
  startedAtMs: number;
  deadlineAtMs: number;
}

export class Round {
  readonly options: RoundOptions;
  readonly #votes = new Map<string, Vote>();
  #open: number;
  #acks = 0;
  #nacks = 0;
  #firstAckMs: number | null = null;
  #lastAckMs: number | null = null;
  #outcome: RoundOutcome | null = null;

  constructor(options: RoundOptions, voters: Iterable<{ key: string; id: string; instance: string }>) {
    this.options = options;
    for (const { key, id, instance } of voters) this.#votes.set(key, { id, instance, answer: "none", afterMs: null });
    this.#open = this.#votes.size;
    this.#judge(options.startedAtMs);
  }

  /** Null while the round is open. */
  get outcome(): RoundOutcome | null {
    return this.#outcome;
  }

  has(key: string): boolean {
    return this.#votes.has(key);
  }

  /** First answers count; later ones of the same node, and those of nodes without a vote, change nothing. */
  answer(key: string, answer: "ack" | "nack", atMs: number, reason?: string): void {
    const vote = this.#votes.get(key);
    if (vote === undefined || vote.answer !== "none" || this.#outcome !== null) return;
    vote.answer = answer;
    vote.afterMs = atMs - this.options.startedAtMs;
    if (reason !== undefined) vote.reason = reason;
    this.#open -= 1;
    if (answer === "ack") {
      this.#acks += 1;
      this.#firstAckMs ??= vote.afterMs;
      this.#lastAckMs = vote.afterMs;
    } else {
      this.#nacks += 1;
    }
    this.#judge(atMs);
  }

  /** The open vote of a process that is gone passes to its successor under the same node id. */
  inherit(fromKey: string, to: { key: string; id: string; instance: string }): void {
    const vote = this.#votes.get(fromKey);
    if (vote === undefined || vote.answer !== "none" || this.#outcome !== null || this.#votes.has(to.key)) return;
    this.#votes.delete(fromKey);
    this.#votes.set(to.key, { id: to.id, instance: to.instance, answer: "none", afterMs: null });
  }

  /** Ends the round when its deadline has passed. */
  expire(atMs: number): void {
    if (this.#outcome !== null || atMs < this.options.deadlineAtMs) return;
    const enough = this.options.quorum === "whoever" && this.#acks > 0;
    this.#end(
      enough ? "proved" : this.#nacks > 0 ? "refused" : "timed_out",
      atMs,
      `${this.#open} nodes did not answer`,
    );
  }

  abort(reason: string, atMs: number): void {
    if (this.#outcome === null) this.#end("aborted", atMs, reason);
  }

  #judge(atMs: number): void {
    if (this.options.quorum === "all" && this.#nacks > 0) {
      this.#end("refused", atMs, this.#refusal());
    } else if (this.#open === 0) {
      const proved = this.#acks > 0 || this.#votes.size === 0;
      this.#end(proved ? "proved" : "refused", atMs, proved ? "" : this.#refusal());
    }
  }

  #refusal(): string {
    for (const vote of this.#votes.values()) if (vote.answer === "nack") return `${vote.id}: ${vote.reason ?? "NACK"}`;
    return "";
  }

  #end(result: RoundResult, atMs: number, reason: string): void {
    const { kind, epoch, term, version, quorum, startedAtMs } = this.options;
    this.#outcome = {
      kind,
      epoch,
      term,
      version,
      quorum,
      ok: result === "proved",
      result,
      reason: result === "proved" && this.#open === 0 ? "" : reason,
      tookMs: atMs - startedAtMs,
      firstAckMs: this.#firstAckMs,
      lastAckMs: this.#lastAckMs,
      acks: this.#acks,
      nodes: [...this.#votes.values()],
    };
  }
}
