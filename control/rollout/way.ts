import type { StepShares, Unit, UnitService } from "../checkpoint/unit.ts";
import { mustLeave } from "../plan/must-leave.ts";
import { type Cause, type PlannedService, PPM } from "../plan/plan.ts";
import { stepToward } from "../plan/steps.ts";

/** A path longer than this would take a day with the shortest useful bake. */
export const MAX_STEPS = 100;

/** True when everybody who loses share (or the flag alone changes) must leave: such a change waits for no cohort. */
export function isProtective(after: PlannedService, before: PlannedService): boolean {
  if (after.mode !== before.mode) return false;
  const was = new Map(before.targets.map((target) => [target.name, target]));
  return after.targets.every((target) => {
    const earlier = was.get(target.name);
    if (earlier === undefined) return false;
    const loses = target.weightPpm < earlier.weightPpm || target.stickyPpm < earlier.stickyPpm;
    return !loses || mustLeave(target);
  });
}

/**
 * The way of one service. By nodes where it has no sessions and the fleet has several nodes: a session would flip between two
 * Envoys with different tables at every request. By slots otherwise, no share moving by more than `limitPpm` in a step; a change
 * of mode has no half-way.
 */
export function wayOf(
  after: PlannedService,
  before: PlannedService,
  options: { hasSessions: boolean; nodes: number; limitPpm: number; formerTable: string },
): UnitService {
  const goalShares = { mode: after.mode, why: after.why, targets: after.targets.map(withoutBase) };
  const common = {
    name: after.name,
    formerTable: options.formerTable,
    former: { mode: before.mode, why: before.why, targets: before.targets.map(withoutBase) },
    goal: goalShares,
  };
  const goal = sharesOf(after);
  const sameTargets =
    after.targets.length === before.targets.length &&
    after.targets.every((target, i) => before.targets[i]!.name === target.name);
  if (!options.hasSessions && options.nodes > 1) return { ...common, by: "nodes", path: [goal] };
  if (after.mode !== before.mode || !sameTargets) return { ...common, by: "slots", path: [goal] };
  const path: StepShares[] = [];
  let at = sharesOf(before);
  while (path.length < MAX_STEPS) {
    at = {
      weightPpm: stepToward(at.weightPpm, goal.weightPpm, options.limitPpm),
      stickyPpm: stepToward(at.stickyPpm, goal.stickyPpm, options.limitPpm),
    };
    path.push(at);
    if (equal(at, goal)) return { ...common, by: "slots", path };
  }
  path[MAX_STEPS - 1] = goal;
  return { ...common, by: "slots", path };
}

/** Steps that the unit needs at most. */
export function stepsOf(services: readonly UnitService[], cohorts: readonly number[]): number {
  return Math.max(1, ...services.map(({ by, path }) => (by === "nodes" ? cohorts.length : path.length)));
}

/** How many of `nodes` the step reaches; all where nobody goes by nodes. */
export function nodesAt(unit: Pick<Unit, "services" | "cohorts">, step: number, nodes: number): number {
  if (!unit.services.some(({ by }) => by === "nodes")) return nodes;
  const ppm = unit.cohorts[Math.min(step, unit.cohorts.length - 1)]!;
  return Math.min(nodes, Math.max(1, Math.ceil((ppm * nodes) / PPM)));
}

/** The next step that changes anything for `nodes` connected nodes, of which `reached` have the goal; null: there is none. */
export function nextStep(
  unit: Pick<Unit, "services" | "cohorts" | "step" | "steps">,
  fleet: { nodes: number; partial: boolean; reached: number },
): number | null {
  for (let step = unit.step + 1; step < unit.steps; step++) {
    const slots = unit.services.some(({ by, path }) => by === "slots" && step < path.length);
    const count = nodesAt(unit, step, fleet.nodes);
    // The last step closes the cohort even where no node is left outside: one may join.
    const grows = fleet.partial && (count > fleet.reached || count === fleet.nodes);
    if (slots || grows) return step;
  }
  return null;
}

/** The plan of a service at a step: the goal with the step's shares, the difference explained by a cause of its own. */
export function planAt(unit: Unit, service: UnitService, plan: PlannedService): PlannedService {
  const shares = service.path[Math.min(unit.step, service.path.length - 1)]!;
  const targets = service.goal.targets.map((target, i) => {
    const weightPpm = shares.weightPpm[i]!;
    const stickyPpm = shares.stickyPpm[i]!;
    const effectPpm = weightPpm - target.weightPpm;
    const text = `step ${unit.step + 1} of ${unit.steps}; the goal is ${target.weightPpm / 10_000} %`;
    const step: Cause[] = effectPpm === 0 ? [] : [{ kind: "rollout", ref: `epoch ${unit.id}`, effectPpm, text }];
    const basePpm = plan.targets.find(({ name }) => name === target.name)?.basePpm ?? 0;
    return { ...target, basePpm, weightPpm, stickyPpm, causes: [...target.causes, ...step] };
  });
  const { mode, why } = service.goal;
  return { ...plan, mode, targets, why, emergency: false };
}

/** The plan of a service before its unit. */
export function formerPlan(service: UnitService, plan: PlannedService): PlannedService {
  const { mode, why, targets } = service.former;
  const base = new Map(plan.targets.map(({ name, basePpm }) => [name, basePpm]));
  return {
    ...plan,
    mode,
    why,
    emergency: false,
    targets: targets.map((target) => ({
      ...target,
      basePpm: base.get(target.name) ?? 0,
      causes: [...target.causes],
    })),
  };
}

function withoutBase({ basePpm: _base, ...target }: PlannedService["targets"][number]) {
  return target;
}

function sharesOf({ targets }: PlannedService): StepShares {
  return {
    weightPpm: targets.map(({ weightPpm }) => weightPpm),
    stickyPpm: targets.map(({ stickyPpm }) => stickyPpm),
  };
}

function equal(a: StepShares, b: StepShares): boolean {
  return (
    a.weightPpm.every((share, i) => share === b.weightPpm[i]) &&
    a.stickyPpm.every((share, i) => share === b.stickyPpm[i])
  );
}
