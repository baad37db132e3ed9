import { digestHex, parseDigestHex } from "../../common/xxh64.ts";
import { changes } from "../change/judge.ts";
import type { Approval, CohortRecord } from "../checkpoint/record.ts";
import { tableRefs } from "../checkpoint/record.ts";
import type { Unit, UnitEnd, UnitService } from "../checkpoint/unit.ts";
import type { PlannedService, ServicePolicy } from "../plan/plan.ts";
import type { RolloutPolicy } from "../rollout/decide.ts";
import { type Flight, isPartial, partialFlight, type RolloutState } from "../rollout/flight.ts";
import { nodesAt, planAt, stepsOf, wayOf } from "../rollout/way.ts";
import { makeSet } from "../table/set.ts";
import type { EncodedTable, TableSet } from "../table/table.ts";
import { cohortOf, positionOf } from "../xds/cohort.ts";
import type { Draft } from "./checkpoint-record.ts";
import { draftSet } from "./draft-set.ts";
import type { InForce } from "./in-force.ts";

export interface CourseInput {
  draft: Draft;
  epoch: number;
  inForce: InForce | null;
  state: RolloutState;
  /** Ids of the nodes that are connected now. */
  nodeIds: readonly string[];
  policies: ReadonlyMap<string, ServicePolicy>;
  policy: RolloutPolicy;
  slots: number;
  approval: Approval;
  inputs: string;
  /** Nothing can be seen of the fleet now. */
  blind: boolean;
  /** Nodes whose telemetry is heard; null: it is no concern. */
  watched: ReadonlySet<string> | null;
}

/** How a draft reaches the fleet: as which step of which unit, on which part of it, and what it ends. */
export interface Course {
  /** With the shares of the step. */
  draft: Draft;
  unit: Unit;
  cohort: CohortRecord | null;
  /** What nodes outside of the cohort get. */
  rest: TableSet | null;
  ends: readonly UnitEnd[];
}

const NOWHERE = { mode: "steer", why: "", targets: [] } as const;

/** Pure. */
export function courseOf(input: CourseInput): Course {
  const { draft: wanted, inForce, state } = input;
  const before = new Map([...(inForce?.last ?? [])].map(([name, { plan }]) => [name, plan]));
  const changed = wanted.services.filter((service) => {
    const earlier = before.get(service.name);
    return earlier !== undefined && changes(service, earlier);
  });
  const unit = wanted.step ?? beginUnit(input, changed, before);
  const draft = wanted.step === undefined ? atFirstStep(input, unit) : wanted;
  const ends = endsOf(wanted, state, changed, unit.id);
  const ended = new Set(ends.map((end) => end.unit));
  const cohort = cohortOfStep(input, unit, ended);
  if (cohort === null) return { draft, unit, cohort: null, rest: null, ends };
  const rest = restOf(draft.set, cohort.services, inForce);
  const { services: _services, ...record } = cohort;
  return {
    draft,
    unit,
    cohort: { ...record, rest: { setDigest: digestHex(rest.digest), tables: tableRefs(rest) } },
    rest,
    ends,
  };
}

function beginUnit(
  { draft, epoch, inForce, nodeIds, policies, policy, approval, inputs, blind, watched }: CourseInput,
  changed: readonly PlannedService[],
  before: ReadonlyMap<string, PlannedService>,
): Unit {
  const { author, why, trigger } = draft;
  const protective = draft.emergency || inForce === null || draft.course === "protective";
  // A part of the fleet of which nothing can be seen cannot be judged apart: then all go together.
  const nodes = watched === null || blind || nodeIds.some((id) => watched.has(id)) ? nodeIds.length : 1;
  const tables = new Map(inForce?.set.tables.map((table) => [table.service, table]));
  const services = changed
    // Requests of a service that is observed before and after go where they went.
    .filter((service) => service.mode === "steer" || before.get(service.name)!.mode === "steer")
    .map((service): UnitService => {
      const formerTable = digestHex(tables.get(service.name)!.digest);
      // Only watched: it is never taken back and has no further step, so a drain of a thousand services stays a small record.
      if (protective) return { name: service.name, by: "slots", formerTable, former: NOWHERE, goal: NOWHERE, path: [] };
      const { hasSessions, stepLimitPpm } = policies.get(service.name) ?? { hasSessions: true, stepLimitPpm: 1e6 };
      return wayOf(service, before.get(service.name)!, {
        hasSessions,
        nodes,
        limitPpm: policy.slotStepPpm ?? stepLimitPpm,
        formerTable,
      });
    });
  const kind = protective || services.length === 0 ? "protective" : "change";
  const { cohorts } = policy;
  return {
    id: epoch,
    kind,
    services,
    cohorts,
    steps: stepsOf(services, cohorts),
    step: 0,
    previous: null,
    author,
    why,
    trigger,
    approval,
    inputs,
    ...(blind && draft.breakGlass !== undefined ? { unwatched: true } : {}),
  };
}

/** The draft with the shares of the unit's first step where the way has more than one. */
function atFirstStep({ draft, inForce, slots }: CourseInput, unit: Unit): Draft {
  const long = new Map(unit.services.filter(({ path }) => path.length > 1).map((service) => [service.name, service]));
  if (long.size === 0 || inForce === null) return draft;
  const services = draft.services.map((plan) => {
    const service = long.get(plan.name);
    return service === undefined ? plan : planAt(unit, service, plan);
  });
  const { set, tables } = draftSet(services, inForce.tables, slots);
  return { ...draft, services, set, tables };
}

function endsOf(
  draft: Draft,
  state: RolloutState,
  changed: readonly PlannedService[],
  own: number,
): readonly UnitEnd[] {
  if (draft.ends !== undefined) return draft.ends;
  const names = new Set(changed.map(({ name }) => name));
  // One that changed nothing has nothing to be watched for: any epoch takes its place.
  const touched = ({ services }: Flight) => services.length === 0 || services.some(({ name }) => names.has(name));
  return state.flights
    .filter((flight) => flight.id !== own && (draft.endsAll === true || touched(flight)))
    .map((flight): UnitEnd => {
      const back = flight.kind === "change" && (draft.rollbackOf !== undefined || isPartial(flight));
      const reason = back ? `taken back: ${draft.why}` : draft.why;
      return {
        unit: flight.id,
        epoch: flight.epoch,
        how: back ? "rolled_back" : "superseded",
        automatic: false,
        reason,
      };
    });
}

type DrawnCohort = Omit<CohortRecord, "rest"> & { services: readonly UnitService[] };

/** The part of the fleet that is ahead under this epoch: its own unit's, or that of one in flight; null: none is. */
function cohortOfStep(
  { state, nodeIds, watched }: CourseInput,
  unit: Unit,
  ended: ReadonlySet<number>,
): DrawnCohort | null {
  const flying = partialFlight(state);
  const of = nodeIds.length;
  const count = nodesAt(unit, unit.step, of);
  if (unit.kind === "change" && unit.services.some(({ by }) => by === "nodes")) {
    if (count >= of) return null;
    const earlier = flying?.id === unit.id ? parseDigestHex(flying.upTo!)! : 0n;
    const seen = nodeIds.filter((id) => watched?.has(id) === true);
    // It reaches to the first node that can be seen, or nothing could be said of it.
    const ends = [cohortOf(nodeIds, count), earlier, seen.length === 0 ? 0n : lowest(seen)];
    const upTo = ends.reduce((a, b) => (a > b ? a : b));
    const nodes = countUpTo(nodeIds, upTo);
    return nodes >= of ? null : { unit: unit.id, upTo: digestHex(upTo), nodes, of, services: unit.services };
  }
  if (flying === undefined || ended.has(flying.id)) return null;
  const nodes = countUpTo(nodeIds, parseDigestHex(flying.upTo!)!);
  return { unit: flying.id, upTo: flying.upTo!, nodes, of, services: flying.services };
}

function lowest(nodeIds: readonly string[]): bigint {
  return nodeIds.map(positionOf).reduce((a, b) => (a < b ? a : b));
}

function countUpTo(nodeIds: readonly string[], upTo: bigint): number {
  return nodeIds.filter((id) => positionOf(id) <= upTo).length;
}

/** `set` with the tables that those services had before. */
function restOf(set: TableSet, services: readonly UnitService[], inForce: InForce | null): TableSet {
  const former = new Map(
    services.filter(({ by }) => by === "nodes").map(({ name, formerTable }) => [name, formerTable]),
  );
  const known = [...(inForce?.rest?.set.tables ?? []), ...(inForce?.set.tables ?? [])];
  return makeSet(
    set.tables.map((table): EncodedTable => {
      const digest = former.get(table.service);
      if (digest === undefined) return table;
      const found = known.find((one) => one.service === table.service && digestHex(one.digest) === digest);
      if (found === undefined) throw new Error(`the former table ${digest} of ${table.service} is not in force`);
      return found;
    }),
  );
}
