import { Reach } from "../../estate/reach.ts";
import type { ChangeRecord, EstateRecords } from "../../ingest/records.ts";
import { AFTERMATH_MS, type ChangeFacts, ChangeHistory } from "./change-history.ts";

/**
 * - degraded: an incident that names the change was opened on the target's path, as in training.  - kept: none was, and the change is closed.
 * - void: it was not carried out, or the target does not depend on it.  - waiting: nothing can be said yet.
 */
export type ChangeOutcome = { is: "degraded" | "kept"; unsuccessful: boolean } | { is: "void" | "waiting" };

/** The changes of one export: what they are judged from, and how they ended as far as it knows. */
export class KnownChanges {
  readonly history: ChangeHistory;
  /** By sys_id. */
  readonly facts: ReadonlyMap<string, ChangeFacts>;
  readonly #ends: ReadonlyMap<string, Pick<ChangeRecord, "state" | "closed">>;
  /** Per CI of a target, made when it is asked for: bounded by the targets. */
  readonly #reaches = new Map<string, Reach | null>();

  constructor(records: EstateRecords) {
    this.history = new ChangeHistory(records);
    this.facts = new Map(this.history.changes.map((change) => [change.sysId, change]));
    this.#ends = new Map(
      records.changes.map(({ sysId, state, closed }) => [sysId, closed === undefined ? { state } : { state, closed }]),
    );
  }

  /** What became of a target by a change. Until a day after its planned end an incident may still come. */
  outcome(sysId: string, targetCi: string, nowMs: number): ChangeOutcome {
    const facts = this.facts.get(sysId);
    const end = this.#ends.get(sysId);
    if (facts === undefined || end === undefined || end.state === "canceled") return { is: "void" };
    if (nowMs < facts.endMs + AFTERMATH_MS) return { is: "waiting" };
    if (end.state !== "closed" && end.state !== "review") return { is: "waiting" };
    const path = this.#nearestPath(targetCi, facts);
    if (path === null) return { is: "void" };
    const is = this.history.degraded(facts, path) ? "degraded" : "kept";
    return { is, unsuccessful: end.closed === "unsuccessful" };
  }

  /** CI ids from the target's to the nearest of the change's; null where it depends on none. */
  #nearestPath(targetCi: string, { cis }: ChangeFacts): string[] | null {
    const reach = this.#reachOf(targetCi);
    let nearest: string[] | null = null;
    for (const ci of cis) {
      if (reach?.has(ci) !== true) continue;
      const path = reach.path(ci).map(({ id }) => id);
      if (nearest === null || path.length < nearest.length) nearest = path;
    }
    return nearest;
  }

  #reachOf(ciId: string): Reach | null {
    const found = this.#reaches.get(ciId);
    if (found !== undefined) return found;
    const ci = this.history.graph.cis.get(ciId);
    const reach = ci === undefined ? null : new Reach(this.history.graph, ci, "");
    this.#reaches.set(ciId, reach);
    return reach;
  }
}
