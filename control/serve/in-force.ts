import { BallastError } from "../../common/errors.ts";
import { parseDigestHex } from "../../common/xxh64.ts";
import type { Checkpoint } from "../checkpoint/moves.ts";
import type { CheckpointRecord, RoundSummary } from "../checkpoint/record.ts";
import {
  type CheckpointStore,
  committedCheckpoint,
  presentCheckpoint,
  recentReleases,
  setOf,
} from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlanInput, PlannedService } from "../plan/plan.ts";
import { decodeTable } from "../table/codec.ts";
import type { TableSet, WeightTable } from "../table/table.ts";
import type { Cohort } from "../xds/cohort.ts";
import type { FleetMemory } from "../xds/fleet.ts";

/** Sets that a server hands to the fleet when it starts: the one in force and two before it. */
const KEPT_RELEASES = 3;

/** What serves now: the committed checkpoint, its tables, and the plan as the planner wants it back. */
export interface InForce {
  epoch: number;
  record: CheckpointRecord;
  set: TableSet;
  tables: ReadonlyMap<string, WeightTable>;
  last: NonNullable<PlanInput["last"]>;
  /** What nodes outside of the cohort use while a part of the fleet goes ahead. */
  rest: Rest | null;
}

export interface Rest {
  set: TableSet;
  tables: ReadonlyMap<string, WeightTable>;
}

/**
 * Reads the head of the store: what is in force (null before the first epoch) and what the fleet must be told. Throws
 * FLEET_MISMATCH for a store of another fleet.
 */
export async function restoreInForce(
  store: CheckpointStore,
  config: BallastConfig,
): Promise<{ inForce: InForce | null; memory: FleetMemory }> {
  const { reservedEpoch } = await store.head();
  const [newest, ...older] = await recentReleases(store, KEPT_RELEASES);
  if (newest === undefined) return { inForce: null, memory: { reservedEpoch, committed: null } };
  const { checkpoint, set } = newest;
  const { epoch, term, mode, fleet, cohort } = checkpoint.record;
  if (fleet !== config.fleet) {
    throw new BallastError("FLEET_MISMATCH", `the store is of fleet ${fleet}, ballast.yaml of ${config.fleet}`);
  }
  const rest = cohort === undefined ? null : await setOf(store, epoch, cohort.rest);
  const inForce = fromCheckpoint(checkpoint, set, config, rest);
  const release = { epoch, term, mode, set, ...cohortFor(inForce) };
  return {
    inForce,
    memory: {
      reservedEpoch,
      committed: release,
      kept: older.map((earlier) => earlier.set),
      quarantined: await quarantinedIn(store, epoch),
    },
  };
}

/** The part of the fleet that goes ahead, as the fleet is told. */
export function cohortFor({ record, rest }: Pick<InForce, "record" | "rest">): { cohort?: Cohort } {
  if (record.cohort === undefined || rest === null) return {};
  return { cohort: { upTo: parseDigestHex(record.cohort.upTo)!, rest: rest.set } };
}

/** Nodes that were told to pass requests through under this epoch: those that failed while they were connected. */
async function quarantinedIn(store: CheckpointStore, epoch: number): Promise<NonNullable<FleetMemory["quarantined"]>> {
  const notes = await store.history({ epoch, kind: "note" });
  return notes.flatMap(({ body }) => {
    if (body.kind !== "note" || body.topic !== "activation") return [];
    const { nodes } = body.detail as RoundSummary;
    return nodes.flatMap(({ id, instance, answer, reason }) =>
      answer === "nack" ? [{ id, instance, reason: reason ?? "NACK" }] : [],
    );
  });
}

/** Epochs looked back for one that was left open when a server begins. */
const MAX_OPEN = 32;

/** Epochs before the one in force whose state may have to follow it: for a server that begins, and knows of none. */
export async function earlierEpochs(store: CheckpointStore, { record }: InForce): Promise<number[]> {
  const epochs: number[] = [];
  for (let epoch = record.parent; epoch > 0 && epochs.length < MAX_OPEN; ) {
    epochs.push(epoch);
    epoch = (await committedCheckpoint(store, epoch))?.record.parent ?? 0;
  }
  return epochs;
}

/**
 * Brings the states of earlier epochs up to what the one in force means: those whose unit it took back are rolled back, those
 * that are no step of a unit in flight any more are closed. Also after a server that ended between a commit and these moves.
 * Wall time in `atMs`.
 */
export async function settleEarlier(
  store: CheckpointStore,
  { record }: InForce,
  epochs: { earlier: readonly number[]; flying: readonly number[] },
  by: { term: number; atMs: number },
): Promise<void> {
  const ends = new Map((record.ends ?? []).map((end) => [end.epoch, end]));
  const open = new Set([...epochs.earlier, ...ends.keys(), record.parent, record.rollout?.previous ?? 0]);
  for (const epoch of epochs.flying) open.delete(epoch);
  for (const epoch of [...open].sort((a, b) => a - b)) {
    if (epoch === 0 || epoch === record.epoch) continue;
    const state = (await presentCheckpoint(store, epoch))?.state;
    if (state !== "active" && state !== "baked") continue;
    const end = ends.get(epoch);
    const back =
      end === undefined ? record.rollbackOf !== undefined && epoch === record.parent : end.how === "rolled_back";
    const detail = { byEpoch: record.epoch };
    const common = { from: state, atMs: by.atMs } as const;
    const move = back
      ? ({
          ...common,
          move: "rollBack",
          to: "rolledBack",
          detail: { ...detail, reason: end?.reason ?? record.why },
        } as const)
      : ({ ...common, move: "supersede", to: "closed", detail } as const);
    await store.append({ kind: "move", epoch, move }, { term: by.term });
  }
}

/** A target that the configuration no longer knows has base 0; one that the record did not know is left to the planner. */
export function fromCheckpoint(
  checkpoint: Checkpoint,
  set: TableSet,
  config: BallastConfig,
  rest: TableSet | null = null,
): InForce {
  const { record } = checkpoint;
  const last = new Map<string, { plan: PlannedService; steppedAtMs: number }>();
  for (const service of record.services) {
    const targets = service.targets.map((target) => ({
      name: target.name,
      basePpm: config.services.get(service.name)?.targets.get(target.name)?.basePpm ?? 0,
      weightPpm: target.weightPpm,
      stickyPpm: target.stickyPpm,
      draining: target.draining,
      causes: [...target.causes],
    }));
    const plan: PlannedService = {
      name: service.name,
      mode: service.mode,
      targets,
      why: service.why,
      emergency: false,
    };
    last.set(service.name, { plan, steppedAtMs: record.plannedAtMs });
  }
  return {
    epoch: record.epoch,
    record,
    set,
    tables: decoded(set),
    last,
    rest: rest === null ? null : { set: rest, tables: decoded(rest) },
  };
}

function decoded({ tables }: TableSet): ReadonlyMap<string, WeightTable> {
  return new Map(tables.map(({ service, bytes }) => [service, decodeTable(bytes)]));
}
