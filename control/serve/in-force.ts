import { BallastError } from "../../common/errors.ts";
import type { Checkpoint } from "../checkpoint/moves.ts";
import type { CheckpointRecord } from "../checkpoint/record.ts";
import { type CheckpointStore, presentCheckpoint, recentReleases } from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlanInput, PlannedService } from "../plan/plan.ts";
import { decodeTable } from "../table/codec.ts";
import type { TableSet, WeightTable } from "../table/table.ts";
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
  const { epoch, term, mode, fleet } = checkpoint.record;
  if (fleet !== config.fleet) {
    throw new BallastError("FLEET_MISMATCH", `the store is of fleet ${fleet}, ballast.yaml of ${config.fleet}`);
  }
  return {
    inForce: fromCheckpoint(checkpoint, set, config),
    memory: { reservedEpoch, committed: { epoch, term, mode, set }, kept: older.map((release) => release.set) },
  };
}

/**
 * Closes the epoch before the one in force, when a server ended between the commit and that move (or never learnt of the
 * commit). Wall time in `atMs`.
 */
export async function closeForgotten(
  store: CheckpointStore,
  { record }: InForce,
  by: { term: number; atMs: number },
): Promise<void> {
  if (record.parent === 0) return;
  const earlier = await presentCheckpoint(store, record.parent);
  if (earlier?.state !== "active") return;
  const common = { from: "active", atMs: by.atMs } as const;
  const move =
    record.rollbackOf === undefined
      ? ({ ...common, move: "supersede", to: "closed", detail: { byEpoch: record.epoch } } as const)
      : ({
          ...common,
          move: "rollBack",
          to: "rolledBack",
          detail: { byEpoch: record.epoch, reason: record.why },
        } as const);
  await store.append({ kind: "move", epoch: record.parent, move }, { term: by.term });
}

/** A target that the configuration no longer knows has base 0; one that the record did not know is left to the planner. */
export function fromCheckpoint(checkpoint: Checkpoint, set: TableSet, config: BallastConfig): InForce {
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
  const tables = new Map(set.tables.map(({ service, bytes }) => [service, decodeTable(bytes)]));
  return { epoch: record.epoch, record, set, tables, last };
}
