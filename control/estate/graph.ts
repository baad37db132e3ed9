import type { Finding } from "../ingest/finding.ts";
import type { CiRecord, EstateRecords, Reference, RelationRecord } from "../ingest/records.ts";
import { keepLatest, rankTime } from "./copies.ts";
import type { Ci, Dependency } from "./estate.ts";
import { layerOf } from "./layer.ts";
import { directionOf } from "./relation-type.ts";

/** CIs and dependencies of an export, every oddity reported. Independent of the order of the records. */
export interface Graph {
  /** By sys_id, in the order of sys_ids. */
  cis: Map<string, Ci>;
  /** In the order of (dependent, dependency, type); no duplicates, none to itself. */
  dependencies: Dependency[];
  /** Dependencies by dependent. */
  below: Map<string, Dependency[]>;
  findings: Finding[];
  /** The dependencies whose ends are the wrong way round by their classes. They are kept as they are. */
  reversed: Dependency[];
  resolve(reference: Reference): Ci | undefined;
}

export function buildGraph(records: EstateRecords): Graph {
  const findings: Finding[] = [];
  const cis = mergeCis(records.cis, findings);
  const resolve = resolver(cis);
  const dependencies = readDependencies(records.relations, resolve, findings);
  const below = new Map<string, Dependency[]>();
  for (const dependency of dependencies) {
    const list = below.get(dependency.dependent);
    if (list === undefined) below.set(dependency.dependent, [dependency]);
    else list.push(dependency);
  }
  const name = (id: string): string => cis.get(id)!.name;
  const reversed: Dependency[] = [];
  for (const dependency of dependencies) {
    const upper = layerOf(cis.get(dependency.dependent)!.className);
    const lower = layerOf(cis.get(dependency.dependency)!.className);
    if (upper !== null && lower !== null && upper < lower) reversed.push(dependency);
    else reportBothWays(dependency, below, cis, findings);
  }
  for (const cycle of findCycles(cis, below)) {
    const shown = cycle.slice(0, 8).map(name).join(", ");
    const more = cycle.length > 8 ? ` and ${cycle.length - 8} more` : "";
    findings.push({
      severity: "warning",
      code: "RELATION_CYCLE",
      message: `${cycle.length} CIs depend on each other in a circle: ${shown}${more}; each inherits the windows of all`,
      provenance: cis.get(cycle[0]!)!.provenance,
    });
  }
  return { cis, dependencies, below, findings, reversed, resolve };
}

/** A pair in both directions where the classes do not tell which one is right. Reported once. */
function reportBothWays(
  { dependent, dependency, provenance }: Dependency,
  below: Map<string, Dependency[]>,
  cis: Map<string, Ci>,
  findings: Finding[],
): void {
  if (dependent > dependency) return;
  const back = below.get(dependency)?.find((d) => d.dependency === dependent);
  if (back === undefined || layerOf(cis.get(dependent)!.className) !== layerOf(cis.get(dependency)!.className)) return;
  const [a, b] = [cis.get(dependent)!.name, cis.get(dependency)!.name];
  findings.push({
    severity: "warning",
    code: "RELATION_BOTH_WAYS",
    message: `${a} and ${b} depend on each other (${provenance.sysId}, ${back.provenance.sysId}); each inherits the windows of both`,
    provenance,
  });
}

function mergeCis(records: readonly CiRecord[], findings: Finding[]): Map<string, Ci> {
  const { kept, left } = keepLatest(records, ciRank);
  for (const copy of left) {
    // A CI stands in the table of its class and in those of the classes above: the same record twice, not a fault.
    const sameContent = ciContent(copy.left) === ciContent(copy.kept);
    if (sameContent && copy.left.provenance.table !== copy.kept.provenance.table) continue;
    findings.push({
      severity: sameContent ? "note" : "warning",
      code: "DUPLICATE_SYS_ID",
      message: `sys_id ${copy.left.sysId} stands for ${copy.left.name} and for ${copy.kept.name}; the latter is used`,
      provenance: copy.left.provenance,
    });
  }
  return new Map(kept.map((record) => [record.sysId, toCi(record)]));
}

/** Later updates win, then richer records. */
function ciRank(record: CiRecord): string {
  const facts = [record.cpuCores, record.cpuSpeedMhz, record.ramMb].filter((fact) => fact !== undefined).length;
  return `${rankTime(record.updatedMs)} ${facts} ${ciContent(record)}`;
}

function ciContent(r: CiRecord): string {
  return JSON.stringify([r.name, r.className, r.lifecycle, r.cpuCores ?? null, r.cpuSpeedMhz ?? null, r.ramMb ?? null]);
}

function toCi(record: CiRecord): Ci {
  const { sysId, name, className, lifecycle, provenance } = record;
  return {
    id: sysId,
    name,
    className,
    operational: lifecycle === "operational",
    retired: lifecycle === "retired",
    ...(record.cpuCores === undefined ? {} : { cpuCores: record.cpuCores }),
    ...(record.cpuSpeedMhz === undefined ? {} : { cpuSpeedMhz: record.cpuSpeedMhz }),
    ...(record.ramMb === undefined ? {} : { ramMb: record.ramMb }),
    ...(record.criticality === undefined ? {} : { criticality: record.criticality }),
    provenance,
  };
}

/** By sys_id, else by a name that one CI alone carries. */
function resolver(cis: Map<string, Ci>): (reference: Reference) => Ci | undefined {
  const byName = new Map<string, Ci | null>();
  for (const ci of cis.values()) byName.set(ci.name, byName.has(ci.name) ? null : ci);
  return ({ sysId, display }) => cis.get(sysId) ?? (display === "" ? undefined : (byName.get(display) ?? undefined));
}

function readDependencies(
  relations: readonly RelationRecord[],
  resolve: (reference: Reference) => Ci | undefined,
  findings: Finding[],
): Dependency[] {
  const unique = new Map<string, Dependency>();
  const skippedTypes = new Map<string, { known: boolean; count: number; first: RelationRecord }>();
  for (const relation of inOrder(relations)) {
    const direction = directionOf(relation.type);
    if (direction === "unknown" || direction === "no dependency") {
      countSkipped(skippedTypes, relation, direction);
      continue;
    }
    const parent = resolve(relation.parent);
    const child = resolve(relation.child);
    if (parent === undefined || child === undefined) {
      const end = parent === undefined ? relation.parent : relation.child;
      const side = parent === undefined ? "parent" : "child";
      findings.push({
        severity: "warning",
        code: "UNKNOWN_CI",
        message: `relation ${relation.sysId}: its ${side} ${shown(end)} is no CI of the export; the relation is not used`,
        provenance: relation.provenance,
      });
      continue;
    }
    const [dependent, dependency] = direction === "parent depends" ? [parent.id, child.id] : [child.id, parent.id];
    if (dependent === dependency) {
      const message = `relation ${relation.sysId}: ${parent.name} depends on itself; the relation is not used`;
      findings.push({ severity: "warning", code: "RELATION_TO_SELF", message, provenance: relation.provenance });
      continue;
    }
    const type = canonicalType(relation.type, direction);
    const key = `${dependent}\n${dependency}\n${type.toLowerCase()}`;
    const other = unique.get(key);
    if (other === undefined) {
      unique.set(key, { dependent, dependency, type, provenance: relation.provenance });
      continue;
    }
    findings.push({
      severity: "note",
      code: "RELATION_DUPLICATE",
      message: `relation ${relation.sysId} says the same as ${other.provenance.sysId}: ${type} between ${parent.name} and ${child.name}`,
      provenance: relation.provenance,
    });
  }
  for (const [type, { known, count, first }] of skippedTypes) {
    findings.push({
      severity: known ? "note" : "warning",
      code: known ? "RELATION_NOT_FOLLOWED" : "UNKNOWN_RELATION_TYPE",
      message: known
        ? `${count} relations of type "${type}" say nothing of dependence and are not followed`
        : `${count} relations have the type "${type}", which is not known; they are not followed`,
      provenance: first.provenance,
    });
  }
  return [...unique.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, dependency]) => dependency);
}

/** By sys_id, then by content: of two relations that say the same the first is kept, whatever the file's order. */
function inOrder(relations: readonly RelationRecord[]): RelationRecord[] {
  const content = (r: RelationRecord): string => `${r.parent.sysId} ${r.child.sysId} ${r.type}`;
  return [...relations].sort((a, b) =>
    a.sysId === b.sysId ? (content(a) < content(b) ? -1 : 1) : a.sysId < b.sysId ? -1 : 1,
  );
}

function countSkipped(
  types: Map<string, { known: boolean; count: number; first: RelationRecord }>,
  relation: RelationRecord,
  direction: "unknown" | "no dependency",
): void {
  const entry = types.get(relation.type);
  if (entry === undefined)
    types.set(relation.type, { known: direction === "no dependency", count: 1, first: relation });
  else entry.count++;
}

/** The spelling with the dependent first, so that a mirrored record is the same dependency. */
function canonicalType(type: string, direction: "parent depends" | "child depends"): string {
  const parts = type.split("::").map((part) => part.trim());
  return (direction === "parent depends" ? parts : parts.reverse()).join("::");
}

function shown({ sysId, display }: Reference): string {
  if (sysId === "" && display === "") return "(blank)";
  return display === "" || display === sysId ? sysId : `${display} (${sysId})`;
}

/** Strongly connected components of more than one CI (Tarjan 1972, without recursion), each sorted by sys_id. */
function findCycles(cis: Map<string, Ci>, below: Map<string, Dependency[]>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const onStack = new Set<string>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  for (const root of cis.keys()) {
    if (order.has(root)) continue;
    const frames: { id: string; next: number }[] = [{ id: root, next: 0 }];
    while (frames.length > 0) {
      const frame = frames.at(-1)!;
      if (frame.next === 0) {
        order.set(frame.id, order.size);
        low.set(frame.id, order.get(frame.id)!);
        stack.push(frame.id);
        onStack.add(frame.id);
      }
      const edge = below.get(frame.id)?.[frame.next++];
      if (edge !== undefined) {
        if (!order.has(edge.dependency)) frames.push({ id: edge.dependency, next: 0 });
        else if (onStack.has(edge.dependency)) {
          low.set(frame.id, Math.min(low.get(frame.id)!, order.get(edge.dependency)!));
        }
        continue;
      }
      frames.pop();
      const above = frames.at(-1);
      if (above !== undefined) low.set(above.id, Math.min(low.get(above.id)!, low.get(frame.id)!));
      if (low.get(frame.id) !== order.get(frame.id)) continue;
      const component: string[] = [];
      for (;;) {
        const id = stack.pop()!;
        onStack.delete(id);
        component.push(id);
        if (id === frame.id) break;
      }
      if (component.length > 1) cycles.push(component.sort());
    }
  }
  return cycles;
}
