import type { EncodedRelease } from "./encoded-release.ts";
import { type NodeEntry, type NodeTable, nodeKey } from "./nodes.ts";
import { type Quorum, Round, type RoundOutcome } from "./round.ts";

/** Consecutive failures after which a node has no vote. */
const FAILURES_WITHOUT_VOTE = 2;

/** Should every node have failed, all are asked again: an epoch is never committed unproved while somebody could prove it. */
export function votersOf<Node extends { failures: number }>(members: readonly Node[]): readonly Node[] {
  const reliable = members.filter((node) => node.failures < FAILURES_WITHOUT_VOTE);
  return reliable.length > 0 ? reliable : members;
}

/** The rounds of one fleet: at most one is open, and the one that staged what is staged is remembered for its voters. */
export class FleetRounds<Stream> {
  readonly #nodes: NodeTable<Stream>;
  /** The stage round of what is staged, open or proved: its voters are those who are sent the staged set before commit. */
  #stage: Round | null = null;
  /** The open round, if any, and what it is about. */
  #open: Round | null = null;
  #release: EncodedRelease | null = null;

  constructor(nodes: NodeTable<Stream>) {
    this.#nodes = nodes;
  }

  get open(): Round | null {
    return this.#open;
  }

  start(
    kind: "stage" | "activate",
    release: EncodedRelease,
    options: { quorum: Quorum; startedAtMs: number; deadlineMs: number },
    voters: Iterable<{ key: string; id: string; instance: string }>,
  ): void {
    const { quorum, startedAtMs, deadlineMs } = options;
    const { version } = release;
    const { epoch, term } = release.release;
    this.#release = release;
    this.#open = new Round(
      { kind, epoch, term, version, quorum, startedAtMs, deadlineAtMs: startedAtMs + deadlineMs },
      voters,
    );
    if (kind === "stage") this.#stage = this.#open;
  }

  /** Whether a node votes on what is staged. */
  hasStageVote(node: NodeEntry<Stream>): boolean {
    return this.#stage?.has(node.key) === true;
  }

  /** The open round, if it is about this version on this node. */
  about(node: NodeEntry<Stream>, version: string): Round | null {
    return this.#release?.versionAt(node.position) === version ? this.#open : null;
  }

  abortStage(reason: string, nowMs: number): void {
    this.#stage?.abort(reason, nowMs);
  }

  /** What is staged is staged no longer. */
  forgetStage(): void {
    this.#stage = null;
  }

  /** A restarted process takes over the open vote of its predecessor when that one's stream is gone. */
  inheritVote(entry: NodeEntry<Stream>): void {
    const round = this.#stage;
    if (this.#open === null || round === null || this.#open !== round || round.has(entry.key)) return;
    for (const other of this.#nodes.values()) {
      if (other.id === entry.id && other.stream === null && round.has(other.key)) {
        round.inherit(other.key, entry);
        return;
      }
    }
  }

  /** The outcome of the open round once it has ended, which closes it and counts its nodes' failures; else null. */
  settle(): RoundOutcome | null {
    const outcome = this.#open?.outcome ?? null;
    if (outcome === null) return null;
    this.#open = null;
    // Who was cut short by another's refusal or by us has not failed.
    const lateIsFailure = outcome.result === "timed_out" || outcome.result === "proved";
    for (const { id, instance, answer } of outcome.nodes) {
      const node = this.#nodes.get(nodeKey({ id, instance }));
      if (node !== undefined && (answer === "nack" || (answer === "none" && lateIsFailure))) node.failures += 1;
    }
    return outcome;
  }
}
