import type { ChangeRecord, EstateRecords, IncidentRecord, Reference } from "../ingest/records.ts";
import type { Estate, EstateService } from "./estate.ts";

/** A ticket as history: when it held, how much it took, and when people knew of it. */
export interface PastWindow {
  kind: "change" | "incident";
  startMs: number;
  /** `Infinity` for an incident that is not resolved. */
  endMs: number;
  /** Share of the service's capacity on the targets that depend on the ticket's CIs, 0 … 1. */
  share: number;
  knownAtMs: number;
  endKnownAtMs: number;
}

/** What an incident of a priority takes of a target, as the planner's defaults have it; lower ones take nothing. */
const TAKEN: ReadonlyMap<number, number> = new Map([
  [1, 1],
  [2, 0.5],
]);

/**
 * By service, all approved changes and all grave incidents of an export, closed ones too: what a model may learn from, where
 * `Estate` holds only what may act now. A change counts with its planned span, known since it was filed (`sys_created_on`; without it
 * only since it began: to have known it earlier would be a guess). An incident is known once it was opened, its end once it was resolved.
 */
export function pastWindows(
  records: Pick<EstateRecords, "changes" | "incidents" | "taskCis">,
  estate: Estate,
): Map<string, PastWindow[]> {
  const byName = new Map([...estate.cis.values()].map((ci) => [ci.name, ci.id]));
  const idOf = ({ sysId, display }: Reference): string | undefined =>
    estate.cis.has(sysId) ? sysId : byName.get(display || sysId);
  const byTask = new Map<string, Reference[]>();
  for (const { task, ci } of records.taskCis)
    for (const key of new Set([task.sysId, task.display]))
      if (key !== "") byTask.set(key, [...(byTask.get(key) ?? []), ci]);
  const above = new Map<string, string[]>();
  for (const { dependent, dependency } of estate.dependencies)
    above.set(dependency, [...(above.get(dependency) ?? []), dependent]);

  const byCi = new Map<string, EstateService[]>();
  for (const service of estate.services.values())
    for (const { ciId } of service.targets) byCi.set(ciId, [...(byCi.get(ciId) ?? []), service]);

  const windows = new Map<string, PastWindow[]>([...estate.services.keys()].map((name) => [name, []]));
  for (const ticket of [...records.changes, ...records.incidents]) {
    const window = ticket.kind === "change" ? ofChange(ticket) : ofIncident(ticket);
    if (window === null) continue;
    const references = [ticket.ci, ...(byTask.get(ticket.sysId) ?? []), ...(byTask.get(ticket.number) ?? [])];
    const touched = new Set(references.flatMap((reference) => idOf(reference) ?? []));
    for (const id of touched) for (const next of above.get(id) ?? []) touched.add(next);
    const hitServices = new Set([...touched].flatMap((id) => byCi.get(id) ?? []));
    for (const { name, targets } of hitServices) {
      const whole = targets.reduce((sum, target) => sum + target.capacityRps, 0);
      const hit = targets.reduce((sum, target) => sum + (touched.has(target.ciId) ? target.capacityRps : 0), 0);
      if (hit > 0) windows.get(name)!.push({ ...window, share: (window.share * hit) / whole });
    }
  }
  for (const of of windows.values()) of.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
  return windows;
}

function ofChange(change: ChangeRecord): PastWindow | null {
  const { state, approval, onHold, plannedStartMs: startMs, plannedEndMs: endMs } = change;
  const held = state === "scheduled" || state === "implement" || state === "review" || state === "closed";
  if (!held || approval !== "approved" || onHold || startMs === null || endMs === null || endMs <= startMs) return null;
  const knownAtMs = change.plan?.createdMs ?? startMs;
  return { kind: "change", startMs, endMs, share: 1, knownAtMs, endKnownAtMs: knownAtMs };
}

function ofIncident({ state, priority, openedMs, resolvedMs }: IncidentRecord): PastWindow | null {
  const share = TAKEN.get(priority ?? 0);
  if (share === undefined || openedMs === null || state === "canceled" || state === "unknown") return null;
  const ended = state === "resolved" || state === "closed";
  // Closed without a time of its end: how long it held is not known, so nothing can be learnt from it.
  if (ended && (resolvedMs == null || resolvedMs <= openedMs)) return null;
  const endMs = ended ? resolvedMs! : Number.POSITIVE_INFINITY;
  return {
    kind: "incident",
    startMs: openedMs,
    endMs,
    share,
    knownAtMs: openedMs,
    endKnownAtMs: endMs,
  };
}
