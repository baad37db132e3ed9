import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import type { Approval } from "../checkpoint/record.ts";
import type { Unit } from "../checkpoint/unit.ts";
import type { PlannedService } from "../plan/plan.ts";
import type { Flight } from "../rollout/flight.ts";
import { formerPlan, planAt } from "../rollout/way.ts";
import { makeSet } from "../table/set.ts";
import type { EncodedTable, TableSet, WeightTable } from "../table/table.ts";
import type { Draft } from "./checkpoint-record.ts";
import { draftSet } from "./draft-set.ts";

/** The next step of a unit, and the approval under which it goes out. Pure. */
export function stepDraft(
  flight: Flight,
  step: number,
  now: { plans: readonly PlannedService[]; tables: ReadonlyMap<string, WeightTable>; slots: number; wallMs: number },
): { draft: Draft; approval: Approval } {
  const unit: Unit = { ...unitOf(flight), step, previous: flight.epoch };
  const byName = new Map(unit.services.map((service) => [service.name, service]));
  const services = now.plans.map((plan) => {
    const service = byName.get(plan.name);
    return service === undefined ? plan : planAt(unit, service, plan);
  });
  const { set, tables } = draftSet(services, now.tables, now.slots);
  const why = `step ${step + 1} of ${unit.steps}: ${unit.why}`;
  const { author, trigger } = unit;
  // What is owed is owed once, for the epoch that began it.
  const byRule = { kind: "rule", name: `step of epoch ${unit.id}, whose approval is owed` } as const;
  const owes = unit.approval.kind === "owed";
  const approval: Approval = owes ? { kind: "rule", by: byRule, atMs: now.wallMs } : unit.approval;
  return { draft: { set, tables, services, why, trigger, author, emergency: false, step: unit }, approval };
}

/** The rollback of a unit by rule: its services as they were, all others as they are. Pure. */
export function rollbackDraft(
  flight: Flight,
  reason: string,
  now: { plans: readonly PlannedService[]; set: TableSet },
): Draft {
  const byName = new Map(flight.services.map((service) => [service.name, service]));
  const why = `automatic rollback of epoch ${flight.epoch}: ${reason}`;
  const services = now.plans.map((plan) => {
    const service = byName.get(plan.name);
    return service === undefined ? plan : { ...formerPlan(service, plan), why };
  });
  return {
    set: now.set,
    tables: null,
    services,
    why,
    trigger: "automatic_rollback",
    author: { kind: "rule", name: "rollout" },
    emergency: true,
    ends: [{ unit: flight.id, epoch: flight.epoch, how: "rolled_back", automatic: true, reason }],
  };
}

/** The set in force with the tables that the unit's services had before it. STORE_CORRUPT when one is not in `stored`. */
export function setBefore(flight: Flight, set: TableSet, stored: ReadonlyMap<bigint, EncodedTable>): TableSet {
  const former = new Map(flight.services.map(({ name, formerTable }) => [name, BigInt(`0x${formerTable}`)]));
  return makeSet(
    set.tables.map((table) => {
      const digest = former.get(table.service);
      if (digest === undefined) return table;
      const found = stored.get(digest);
      if (found !== undefined) return found;
      throw new BallastError("STORE_CORRUPT", `the table ${digestHex(digest)} of ${table.service} is not in the store`);
    }),
  );
}

function unitOf(flight: Flight): Unit {
  const { epoch: _epoch, upTo: _upTo, phase: _phase, sinceMs: _sinceMs, bakeUntilMs: _until, ...more } = flight;
  const { before: _before, asked: _asked, failed: _failed, ...unit } = more;
  return unit;
}
