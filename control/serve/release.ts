import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { type Checkpoint, draft, move } from "../checkpoint/moves.ts";
import {
  type Actor,
  type Approval,
  type CheckpointRecord,
  summariseRound,
  type Verdict,
} from "../checkpoint/record.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { TableSet } from "../table/table.ts";
import type { Cohort } from "../xds/cohort.ts";
import type { FleetPush } from "../xds/push.ts";
import type { RoundOutcome } from "../xds/round.ts";

/** What one epoch needs of the world. */
export interface ReleasePorts {
  store: CheckpointStore;
  fleet: Pick<FleetPush, "stage" | "activate" | "restore">;
  clock: Clock;
  wallMs: () => number;
}

export interface ReleaseRequest {
  record: CheckpointRecord;
  set: TableSet;
  /** The part of the fleet that gets the set, while the rest gets another. */
  cohort?: Cohort;
  verdicts: readonly Verdict[];
  /** Null: recorded as refused and nothing is sent. */
  approval: Approval | null;
  by: Actor;
  /** all: one refusal or a missing proof aborts. whoever: commits at the deadline with whoever has proved. */
  quorum: "all" | "whoever";
  stageDeadlineMs: number;
  activateDeadlineMs: number;
}

export type ReleaseResult =
  | { committed: true; checkpoint: Checkpoint<"active">; staged: RoundOutcome; activated: RoundOutcome }
  | { committed: false; reason: string; round: RoundOutcome | null };

/**
 * The life of one epoch: judged, staged on the fleet, committed in the store by compare-and-swap, activated. Before the commit
 * every failure leaves what serves as it is and is recorded as refused or aborted; after it there is only forward.
 *
 * Rejects when the store fails or another server moved the head (STORE_CONFLICT, STORE_FENCED).
 */
export async function release(ports: ReleasePorts, request: ReleaseRequest): Promise<ReleaseResult> {
  const { store, fleet, wallMs } = ports;
  const { record, set, by } = request;
  const cohort = request.cohort === undefined ? {} : { cohort: request.cohort };
  const { epoch, term } = record;
  const validated = move(draft(record), "validate", { verdicts: request.verdicts }, wallMs());
  if (request.approval === null) {
    const reason = request.verdicts
      .filter((verdict) => !verdict.ok)
      .map((verdict) => verdict.text)
      .join("; ");
    const refused = move(validated, "refuse", { by: { kind: "rule", name: "policy" }, reason }, wallMs());
    await store.append({ kind: "checkpoint", epoch, checkpoint: refused }, { term });
    return { committed: false, reason, round: null };
  }
  const approved = move(validated, "approve", { approval: request.approval }, wallMs());

  const abort = async (reason: string, round: RoundOutcome | null): Promise<ReleaseResult> => {
    const detail = round === null ? { reason } : { reason, round: summariseRound(round) };
    await store.append({ kind: "checkpoint", epoch, checkpoint: move(approved, "abort", detail, wallMs()) }, { term });
    return { committed: false, reason, round };
  };
  let staged: RoundOutcome;
  try {
    const { stageDeadlineMs: deadlineMs, quorum } = request;
    staged = await fleet.stage(set, { epoch, term, deadlineMs, quorum, ...cohort });
  } catch (thrown) {
    if (!(thrown instanceof BallastError)) throw thrown;
    return abort(thrown.message, null);
  }
  if (!staged.ok) return abort(staged.reason, staged);

  const active = move(move(approved, "stage", { round: summariseRound(staged) }, wallMs()), "commit", { by }, wallMs());
  await store.commit(record.parent, active, set.tables);
  let activated: RoundOutcome;
  try {
    activated = await fleet.activate({ epoch, mode: record.mode, deadlineMs: request.activateDeadlineMs });
  } catch (thrown) {
    if (!(thrown instanceof BallastError)) throw thrown;
    // After the commit there is only forward: the fleet is told as soon as it can be (it is silent, or behind).
    fleet.restore({ reservedEpoch: epoch, committed: { epoch, term, set, mode: record.mode, ...cohort } });
    activated = { ...staged, kind: "activate", ok: false, result: "aborted", reason: thrown.message, nodes: [] };
    activated = { ...activated, acks: 0, firstAckMs: null, lastAckMs: null, tookMs: 0 };
  }
  await store.append({ kind: "note", epoch, topic: "activation", detail: summariseRound(activated) }, { term });
  return { committed: true, checkpoint: active, staged, activated };
}
