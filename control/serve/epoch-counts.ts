import type { ChangeType, CheckpointRecord } from "../checkpoint/record.ts";
import type { RoundOutcome } from "../xds/round.ts";

/** What happened to epochs since this server started, for metrics. */
export class EpochCounts {
  readonly committed: Record<ChangeType, number> = { standard: 0, normal: 0, emergency: 0 };
  notReleased = 0;
  automaticRollbacks = 0;
  readonly rounds = new Map<string, number>();
  /** Nodes that refused, over all rounds. */
  nacks = 0;
  lastStageMs: number | null = null;
  lastActivateMs: number | null = null;
  /** Between the first and the last acknowledgement of the last activation. */
  lastSkewMs: number | null = null;

  released(record: CheckpointRecord, staged: RoundOutcome, activated: RoundOutcome): number | null {
    this.committed[record.changeType] += 1;
    if (record.ends?.some(({ automatic }) => automatic) === true) this.automaticRollbacks += 1;
    this.#round(staged);
    this.#round(activated);
    this.lastStageMs = staged.tookMs;
    this.lastActivateMs = activated.tookMs;
    const { firstAckMs, lastAckMs } = activated;
    this.lastSkewMs = firstAckMs === null || lastAckMs === null ? null : lastAckMs - firstAckMs;
    return this.lastSkewMs;
  }

  failed(round: RoundOutcome | null): void {
    this.notReleased += 1;
    if (round !== null) this.#round(round);
  }

  #round(outcome: RoundOutcome): void {
    const key = `${outcome.kind} ${outcome.result}`;
    this.rounds.set(key, (this.rounds.get(key) ?? 0) + 1);
    this.nacks += outcome.nodes.filter((node) => node.answer === "nack").length;
  }
}
