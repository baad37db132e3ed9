import { BallastError } from "../../common/errors.ts";
import type { Actor, Approval, CheckpointRecord, RoundSummary, Verdict } from "./record.ts";

/**
 * The life of a checkpoint.
 *
 * - draft: made, not yet checked.        - validated: the policy has spoken on every rule.
 * - approved: by rule, by a person, or owed.   - staged: the fleet holds and has verified every table.
 * - active: committed as the store's head; from here there is only forward.
 * - baked: observed for the bake time without a breach.   - closed: the change is done.
 * - refused: by the policy or a person, before approval.   - aborted: before commit; nothing that serves changed.
 * - rolledBack: a later epoch put earlier tables in force because of this one.
 */
export const MOVES = {
  draft: { validate: "validated", refuse: "refused" },
  validated: { approve: "approved", refuse: "refused" },
  approved: { stage: "staged", abort: "aborted" },
  staged: { commit: "active", abort: "aborted" },
  active: { bake: "baked", rollBack: "rolledBack", supersede: "closed" },
  baked: { close: "closed", rollBack: "rolledBack", supersede: "closed" },
  closed: {},
  refused: {},
  aborted: {},
  rolledBack: {},
} as const;

export type CheckpointState = keyof typeof MOVES;
export type MoveOf<S extends CheckpointState> = keyof (typeof MOVES)[S] & MoveName;
export type StateAfter<S extends CheckpointState, M extends MoveName> =
  (typeof MOVES)[S] extends Record<M, infer To extends CheckpointState> ? To : never;

/** What each move must say. */
export interface MoveDetails {
  validate: { verdicts: readonly Verdict[] };
  refuse: { by: Actor; reason: string };
  approve: { approval: Approval };
  stage: { round: RoundSummary };
  commit: { by: Actor };
  abort: { reason: string; round?: RoundSummary };
  /**
   * `seen`: per service what was measured in the bake, before the change, and at nodes without it. `more`: further steps of the
   * change follow, so it is not done.
   */
  bake: { text: string; seen?: Readonly<Record<string, BakeFigures>>; more?: true };
  close: { text: string };
  rollBack: { byEpoch: number; reason: string };
  /** The next epoch took its place before it was baked or closed. */
  supersede: { byEpoch: number };
}

export interface BakeFigures {
  after: Figures;
  before: Figures | null;
  untouched: Figures | null;
}

/** Requests and failures of one service over a span; the response time at its objective's quantile, ms. */
export interface Figures {
  requests: number;
  failed: number;
  quantileMs: number | null;
}

export type MoveName = keyof MoveDetails;

export interface Move<M extends MoveName = MoveName> {
  move: M;
  from: CheckpointState;
  to: CheckpointState;
  /** Wall time, ms since the Unix epoch. */
  atMs: number;
  detail: MoveDetails[M];
}

/** A checkpoint in a known state; `S` is what the compiler knows of it. */
export interface Checkpoint<S extends CheckpointState = CheckpointState> {
  readonly state: S;
  readonly record: CheckpointRecord;
  readonly moves: readonly Move[];
}

export function draft(record: CheckpointRecord): Checkpoint<"draft"> {
  return { state: "draft", record, moves: [] };
}

/**
 * The checkpoint after a move. With a state known at compile time an illegal move does not compile; with one read from a
 * store it throws CHECKPOINT_ILLEGAL_MOVE.
 */
export function move<S extends CheckpointState, M extends MoveOf<S>>(
  checkpoint: Checkpoint<S>,
  name: M,
  detail: MoveDetails[M],
  atMs: number,
): Checkpoint<StateAfter<S, M>> {
  const from = checkpoint.state;
  const to = stateAfter(from, name);
  if (to === undefined) {
    throw new BallastError(
      "CHECKPOINT_ILLEGAL_MOVE",
      `epoch ${checkpoint.record.epoch} is ${from}: ${name} is not possible`,
    );
  }
  const made: Move = { move: name, from, to, atMs, detail };
  return { state: to as StateAfter<S, M>, record: checkpoint.record, moves: [...checkpoint.moves, made] };
}

/** Where a move leads, or undefined when it is not possible from there. */
export function stateAfter(from: CheckpointState, name: MoveName): CheckpointState | undefined {
  const row: Partial<Record<MoveName, CheckpointState>> = MOVES[from];
  return Object.hasOwn(row, name) ? row[name] : undefined;
}

/** The newest move of a checkpoint, for the store. */
export function lastMove(checkpoint: Checkpoint): Move {
  const last = checkpoint.moves.at(-1);
  if (last === undefined) throw new Error("a draft has made no move");
  return last;
}
