import { digestHex } from "../../common/xxh64.ts";
import { canonicalJson } from "../checkpoint/canonical-json.ts";
import {
  type Actor,
  type ChangeType,
  type CheckpointRecord,
  type ModelChange,
  sha256Hex,
  tableRefs,
} from "../checkpoint/record.ts";
import type { Unit, UnitEnd } from "../checkpoint/unit.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlannedService } from "../plan/plan.ts";
import type { BuiltTable } from "../table/build.ts";
import type { TableSet } from "../table/table.ts";
import type { Course } from "./course.ts";
import type { InForce } from "./in-force.ts";
import { targetChanges } from "./proposal.ts";

/** A set that is to become an epoch, and why. */
export interface Draft {
  set: TableSet;
  /** Null for tables that are named again and not built. */
  tables: ReadonlyMap<string, BuiltTable> | null;
  services: readonly PlannedService[];
  why: string;
  trigger: string;
  author: Actor;
  emergency: boolean;
  /** Absent: as it is. */
  mode?: CheckpointRecord["mode"];
  rollbackOf?: number;
  /** The epoch under which it waited for approval. */
  change?: number;
  ticket?: string;
  modelChange?: ModelChange;
  /** A freeze is broken on purpose: the approval is owed. */
  breakGlass?: { by: string; reason: string };
  /** Services that from now on keep this person's weights until `resume`. */
  pin?: { by: string; services: readonly string[] };
  /** protective: only what must leave moves, so it goes to all nodes at once. */
  course?: "protective";
  /** A further step of a unit in flight, at that step. */
  step?: Unit;
  /** Units that it takes back; absent: those whose services it changes. `endsAll`: every unit in flight. */
  ends?: readonly UnitEnd[];
  endsAll?: boolean;
}

export interface RecordFacts {
  fleet: string;
  epoch: number;
  term: number;
  plannedAtMs: number;
  createdAtMs: number;
  changeType: ChangeType;
  before: InForce | null;
  policyDigest: string;
  estateDigest: string;
  model: string | null;
  riskModel: string | null;
  /** Services that a person's weights hold, this draft's own included. */
  pins: ReadonlyMap<string, { by: string; epoch: number }>;
  course?: Pick<Course, "unit" | "cohort" | "ends">;
}

/** The immutable content of an epoch. Pure. */
export function recordOf(draft: Draft, facts: RecordFacts): CheckpointRecord {
  const built = [...(draft.tables?.values() ?? [])];
  const { before } = facts;
  return {
    schema: 1,
    fleet: facts.fleet,
    epoch: facts.epoch,
    parent: before?.epoch ?? 0,
    term: facts.term,
    plannedAtMs: Math.round(facts.plannedAtMs),
    createdAtMs: facts.createdAtMs,
    author: draft.author,
    trigger: draft.trigger,
    why: draft.why,
    changeType: facts.changeType,
    ...(draft.ticket === undefined ? {} : { ticket: draft.ticket }),
    mode: draft.mode ?? before?.record.mode ?? "steer",
    setDigest: digestHex(draft.set.digest),
    tables: tableRefs(draft.set),
    services: draft.services.map((service) => {
      const pinned = facts.pins.get(service.name);
      return {
        name: service.name,
        mode: service.mode,
        why: service.why,
        targets: targetChanges(service, before?.last.get(service.name)?.plan),
        ...(pinned === undefined ? {} : { pinned }),
      };
    }),
    slotsMoved: built.reduce((sum, table) => sum + table.slotsMoved, 0),
    slotsMinMoved: built.reduce((sum, table) => sum + table.slotsMinMoved, 0),
    quantisationPpm: Math.max(0, ...built.map((table) => table.quantisationPpm)),
    policyDigest: facts.policyDigest,
    estateDigest: facts.estateDigest,
    ...(facts.model === null ? {} : { model: facts.model }),
    ...(facts.riskModel === null ? {} : { riskModel: facts.riskModel }),
    ...(draft.rollbackOf === undefined ? {} : { rollbackOf: draft.rollbackOf }),
    ...(draft.modelChange === undefined ? {} : { modelChange: draft.modelChange }),
    ...(draft.change === undefined ? {} : { change: draft.change }),
    ...(draft.breakGlass === undefined ? {} : { breakGlass: draft.breakGlass }),
    ...(facts.course === undefined ? {} : rolloutOf(facts.course)),
  };
}

function rolloutOf({ unit, cohort, ends }: Pick<Course, "unit" | "cohort" | "ends">): Partial<CheckpointRecord> {
  return { rollout: unit, ...(cohort === null ? {} : { cohort }), ...(ends.length === 0 ? {} : { ends }) };
}

/** Names the policy that was applied: SHA-256 of every bound of change control and of every service. */
export function policyDigestOf(config: BallastConfig): string {
  const services = Object.fromEntries(
    [...config.services.values()].map(({ name, mode, sessions, objective, policy, targets }) => [
      name,
      {
        mode,
        sessions,
        objective,
        policy,
        base: Object.fromEntries([...targets.values()].map((t) => [t.name, t.basePpm])),
      },
    ]),
  );
  return sha256Hex(canonicalJson({ changeControl: config.changeControl, rollout: config.rollout, services }));
}
