import { buildGraph, type Graph } from "../../estate/graph.ts";
import type { ChangePlan, EstateRecords, Reference } from "../../ingest/records.ts";

/** What is known of a change before its work begins. Nothing that is written later has a place here. */
export interface ChangeFacts extends ChangePlan {
  sysId: string;
  number: string;
  startMs: number;
  endMs: number;
  /** Its CIs by sys_id, in order; at least one. */
  cis: readonly string[];
}

/** Times at which something happened, ascending. */
type Times = readonly number[];

interface Failing {
  startMs: number;
  /** When the first incident that names the change as its cause was opened; Infinity when none is known. */
  failedMs: number;
}

/** Longest span of incidents after a change that are counted as its own. */
export const AFTERMATH_MS = 24 * 3_600_000;

/**
 * Changes, incidents and relations of an export, indexed so that every question is asked *as of* a time: what happened
 * later does not count, whatever the export knows of it. Changes without a planned span or without a CI are left out.
 */
export class ChangeHistory {
  readonly graph: Graph;
  /** Every change with usable times and CIs, in order of start. */
  readonly changes: readonly ChangeFacts[];
  readonly #above = new Map<string, string[]>();
  readonly #created = new Map<string, number>();
  readonly #criticality = new Map<string, number>();
  readonly #opened = new Map<string, Times>();
  readonly #resolved = new Map<string, Times>();
  readonly #caused = new Map<string, { ciId: string; openedMs: number }[]>();
  readonly #byGroup = new Map<string, Failing[]>();
  readonly #byCi = new Map<string, (Failing & { facts: ChangeFacts })[]>();
  readonly #longestMs: number;

  constructor(records: EstateRecords) {
    this.graph = buildGraph(records);
    for (const { dependent, dependency } of this.graph.dependencies) push(this.#above, dependency, dependent);
    for (const ci of records.cis) {
      if (ci.createdMs !== undefined) this.#created.set(ci.sysId, ci.createdMs);
      if (ci.criticality !== undefined) this.#criticality.set(ci.sysId, ci.criticality);
    }
    this.#readIncidents(records);
    this.changes = changesOf(records, this.graph);
    this.#longestMs = Math.max(0, ...this.changes.map((c) => c.endMs - c.startMs));
    for (const facts of this.changes) {
      const failing = { startMs: facts.startMs, failedMs: this.#failedMs(facts) };
      if (facts.group !== "") push(this.#byGroup, facts.group, failing);
      for (const ci of facts.cis) push(this.#byCi, ci, { ...failing, facts });
    }
  }

  #readIncidents(records: EstateRecords): void {
    const opened = new Map<string, number[]>();
    const resolved = new Map<string, number[]>();
    const bySysId = new Map(records.changes.map((c) => [c.number, c.sysId]));
    for (const incident of records.incidents) {
      const ci = this.graph.resolve(incident.ci);
      if (ci === undefined || incident.openedMs === null) continue;
      push(opened, ci.id, incident.openedMs);
      if (incident.resolvedMs != null) push(resolved, ci.id, incident.resolvedMs);
      const cause = incident.causedBy;
      if (cause === undefined) continue;
      const change =
        cause.sysId !== "" && !bySysId.has(cause.sysId) ? cause.sysId : bySysId.get(cause.display || cause.sysId);
      if (change !== undefined) push(this.#caused, change, { ciId: ci.id, openedMs: incident.openedMs });
    }
    for (const [id, times] of opened)
      this.#opened.set(
        id,
        times.sort((a, b) => a - b),
      );
    for (const [id, times] of resolved)
      this.#resolved.set(
        id,
        times.sort((a, b) => a - b),
      );
  }

  #failedMs(facts: ChangeFacts): number {
    const caused = this.#caused.get(facts.sysId) ?? [];
    return Math.min(...caused.map((c) => c.openedMs), Number.POSITIVE_INFINITY);
  }

  /**
   * Whether the target degraded by the change: an incident that names the change as its cause was opened between its start
   * and a day after its end, on a CI of `path` (from the target's CI to the change's).
   */
  degraded(facts: ChangeFacts, path: readonly string[]): boolean {
    return (this.#caused.get(facts.sysId) ?? []).some(
      ({ ciId, openedMs }) =>
        openedMs >= facts.startMs && openedMs <= facts.endMs + AFTERMATH_MS && path.includes(ciId),
    );
  }

  /** CIs one relation away, in either direction, without those of `cis`. */
  neighbours(cis: readonly string[]): string[] {
    const near = new Set<string>();
    for (const ci of cis) {
      for (const { dependency } of this.graph.below.get(ci) ?? []) near.add(dependency);
      for (const dependent of this.#above.get(ci) ?? []) near.add(dependent);
    }
    for (const ci of cis) near.delete(ci);
    return [...near];
  }

  dependents(cis: readonly string[]): number {
    return cis.reduce((sum, ci) => sum + (this.#above.get(ci)?.length ?? 0), 0);
  }

  createdMs(ci: string): number | undefined {
    return this.#created.get(ci);
  }

  criticality(ci: string): number | undefined {
    return this.#criticality.get(ci);
  }

  /** Incidents opened in [fromMs, asOfMs). */
  incidents(cis: readonly string[], fromMs: number, asOfMs: number): number {
    return cis.reduce((sum, ci) => {
      const times = this.#opened.get(ci) ?? [];
      return sum + before(times, asOfMs) - before(times, fromMs);
    }, 0);
  }

  /** Incidents open as of a time. */
  openIncidents(cis: readonly string[], asOfMs: number): number {
    return cis.reduce((sum, ci) => {
      const opened = before(this.#opened.get(ci) ?? [], asOfMs);
      return sum + Math.max(0, opened - before(this.#resolved.get(ci) ?? [], asOfMs));
    }, 0);
  }

  /** Changes of a group that began in [fromMs, asOfMs), and how many of them were by then known to have failed. */
  groupRecord(group: string, fromMs: number, asOfMs: number): { count: number; failed: number } {
    return tally(this.#byGroup.get(group) ?? [], fromMs, asOfMs);
  }

  ciRecord(cis: readonly string[], fromMs: number, asOfMs: number): { count: number; failed: number } {
    let [count, failed] = [0, 0];
    for (const ci of cis) {
      const one = tally(this.#byCi.get(ci) ?? [], fromMs, asOfMs);
      count += one.count;
      failed += one.failed;
    }
    return { count, failed };
  }

  /** Start of the last change on any of the CIs that began before `asOfMs`, this change itself left out. */
  lastChangeMs(cis: readonly string[], asOfMs: number, except: string): number | null {
    let last: number | null = null;
    for (const ci of cis) {
      const list = this.#byCi.get(ci) ?? [];
      for (let i = firstFrom(list, asOfMs) - 1; i >= 0; i--) {
        if (list[i]!.facts.sysId === except) continue;
        last = Math.max(last ?? 0, list[i]!.startMs);
        break;
      }
    }
    return last;
  }

  /**
   * Other changes on these CIs whose planned span overlaps, and that stood in the calendar by then (a change without a
   * time of creation always did). One that was cancelled later counts: nobody knew.
   */
  conflicts(facts: ChangeFacts, cis: readonly string[], asOfMs: number): number {
    const found = new Set<string>();
    for (const ci of cis) {
      const list = this.#byCi.get(ci) ?? [];
      for (let i = firstFrom(list, facts.endMs) - 1; i >= 0; i--) {
        const other = list[i]!.facts;
        if (other.startMs <= facts.startMs - this.#longestMs) break;
        if (other.sysId === facts.sysId || other.endMs <= facts.startMs) continue;
        if (other.createdMs === null || other.createdMs <= asOfMs) found.add(other.sysId);
      }
    }
    return found.size;
  }
}

function changesOf(records: EstateRecords, graph: Graph): ChangeFacts[] {
  const rows = new Map<string, Reference[]>();
  for (const { task, ci } of records.taskCis) push(rows, task.sysId || task.display, ci);
  const changes: ChangeFacts[] = [];
  for (const change of records.changes) {
    const { sysId, number, plan, plannedStartMs: startMs, plannedEndMs: endMs } = change;
    if (startMs === null || endMs === null || endMs <= startMs) continue;
    const references = [change.ci, ...(rows.get(sysId) ?? []), ...(rows.get(number) ?? [])];
    const cis = new Set(references.flatMap((reference) => graph.resolve(reference)?.id ?? []));
    if (cis.size === 0) continue;
    const blank: ChangePlan = { type: "unknown", riskLevel: null, impact: null, createdMs: null, group: "" };
    changes.push({ ...blank, ...plan, sysId, number, startMs, endMs, cis: [...cis].sort() });
  }
  return changes.sort((a, b) => a.startMs - b.startMs || (a.sysId < b.sysId ? -1 : 1));
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** How many of ascending times lie before `ms`. */
function before(times: Times, ms: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstFrom(list: readonly { startMs: number }[], ms: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.startMs < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

function tally(list: readonly Failing[], fromMs: number, asOfMs: number): { count: number; failed: number } {
  let [count, failed] = [0, 0];
  for (let i = firstFrom(list, asOfMs) - 1; i >= 0 && list[i]!.startMs >= fromMs; i--) {
    count++;
    if (list[i]!.failedMs < asOfMs) failed++;
  }
  return { count, failed };
}
