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
import type { FleetPush } from "../xds/push.ts";
import type { RoundOutcome } from "../xds/round.ts";

/** What one epoch needs of the world. */
export interface ReleasePorts {
  store: CheckpointStore;
  fleet: Pick<FleetPush, "stage" | "activate">;
  clock: Clock;
  wallMs: () => number;
}

export interface ReleaseRequest {
  record: CheckpointRecord;
  set: TableSet;
  verdicts: readonly Verdict[];
  /** False: recorded as refused and nothing is sent. */
  allowed: boolean;
  by: Actor;
  /** all: one refusal or a missing proof aborts. whoever: commits at the deadline with whoever has proved. */
  quorum: "all" | "whoever";
  stageDeadlineMs: number;
  activateDeadlineMs: number;
}

export type ReleaseResult =
  | { committed: true; checkpoint: Checkpoint<"active">; staged: RoundOutcome; activated: RoundOutcome }
  | { committed: false; reason: string; round: RoundOutcome | null };

/** How long after an emergency a person must have approved it. */
const OWED_APPROVAL_MS = 24 * 3_600_000;

/**
 * The life of one epoch: judged, staged on the fleet, committed in the store by compare-and-swap, activated. Before the commit
 * every failure leaves what serves as it is and is recorded as refused or aborted; after it there is only forward.
 *
 * Rejects when the store fails or another server moved the head (STORE_CONFLICT, STORE_FENCED).
 */
export async function release(ports: ReleasePorts, request: ReleaseRequest): Promise<ReleaseResult> {
  const { store, fleet, wallMs } = ports;
  const { record, set, by } = request;
  const { epoch, term } = record;
  const validated = move(draft(record), "validate", { verdicts: request.verdicts }, wallMs());
  if (!request.allowed) {
    const reason = request.verdicts
      .filter((verdict) => !verdict.ok)
      .map((verdict) => verdict.text)
      .join("; ");
    const refused = move(validated, "refuse", { by: { kind: "rule", name: "policy" }, reason }, wallMs());
    await store.append({ kind: "checkpoint", epoch, checkpoint: refused }, { term });
    return { committed: false, reason, round: null };
  }
  const approved = move(validated, "approve", { approval: approvalOf(record, wallMs()) }, wallMs());

  const abort = async (reason: string, round: RoundOutcome | null): Promise<ReleaseResult> => {
    const detail = round === null ? { reason } : { reason, round: summariseRound(round) };
    await store.append({ kind: "checkpoint", epoch, checkpoint: move(approved, "abort", detail, wallMs()) }, { term });
    return { committed: false, reason, round };
  };
  let staged: RoundOutcome;
  try {
    staged = await fleet.stage(set, { epoch, term, deadlineMs: request.stageDeadlineMs, quorum: request.quorum });
  } catch (thrown) {
    if (!(thrown instanceof BallastError)) throw thrown;
    return abort(thrown.message, null);
  }
  if (!staged.ok) return abort(staged.reason, staged);

  const active = move(move(approved, "stage", { round: summariseRound(staged) }, wallMs()), "commit", { by }, wallMs());
  await store.commit(record.parent, active, set.tables);
  const activated = await fleet.activate({ epoch, mode: record.mode, deadlineMs: request.activateDeadlineMs });
  await store.append({ kind: "note", epoch, topic: "activation", detail: summariseRound(activated) }, { term });
  return { committed: true, checkpoint: active, staged, activated };
}

function approvalOf(record: CheckpointRecord, atMs: number): Approval {
  if (record.changeType === "emergency") {
    return { kind: "owed", by: { kind: "rule", name: "emergency" }, atMs, dueMs: atMs + OWED_APPROVAL_MS };
  }
  if (record.author.kind === "person") return { kind: "person", by: record.author, atMs };
  return { kind: "rule", by: { kind: "rule", name: "within the policy's bounds" }, atMs };
}
