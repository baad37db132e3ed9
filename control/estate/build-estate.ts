import type { BallastConfig } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { sortFindings } from "../ingest/finding.ts";
import type { EstateRecords } from "../ingest/records.ts";
import { type Bindings, bindCis } from "./bind.ts";
import { targetCapacity } from "./capacity.ts";
import { estateDigest } from "./digest.ts";
import type { Ci, Estate, EstateService, EstateTarget, Finding, TargetWindow } from "./estate.ts";
import { buildGraph, type Graph } from "./graph.ts";
import { Reach } from "./reach.ts";
import { TicketBook } from "./tickets.ts";

export interface EstateInput {
  records: EstateRecords;
  config: BallastConfig;
  /** Planning time of the reading. It is recorded; nothing else depends on it. */
  nowMs: number;
}

/**
 * The snapshot of an export for the services of ballast.yaml. Pure, and independent of the order of records.
 * Throws ConfigError when ballast.yaml names CIs that the estate does not have (all of them at once).
 */
export function buildEstate({ records, config, nowMs }: EstateInput): Estate {
  const graph = buildGraph(records);
  const bindings = bindCis(config, graph.cis, records.source);
  if (bindings.problems.length > 0) throw new ConfigError(config.file, bindings.problems);

  const tickets = new TicketBook(records, graph);
  const findings: Finding[] = [...records.findings, ...graph.findings, ...bindings.findings];
  const services = new Map<string, EstateService>();
  const reached = new Set<string>();
  const hostUsers = new Map<string, string[]>();
  for (const service of config.services.values()) {
    const bound = bindings.services.get(service.name)!;
    const targets: EstateTarget[] = [];
    for (const target of service.targets.values()) {
      const ci = bound.targets.get(target.name)!;
      const reach = new Reach(graph, ci, bound.ci.id);
      for (const id of reach.ids()) reached.add(id);
      const capacity = targetCapacity(graph, ci, target, service);
      for (const host of capacity.hosts) hostUsers.set(host.id, [...(hostUsers.get(host.id) ?? []), target.name]);
      findings.push(...capacity.findings, ...notOperational(graph, reach, ci, target.name));
      const pending = sortWindows(tickets.pendingOf(reach));
      targets.push({
        name: target.name,
        ciId: ci.id,
        ciName: ci.name,
        capacityRps: capacity.capacityRps,
        capacitySource: capacity.capacitySource,
        capacityOrigin: capacity.capacityOrigin,
        windows: sortWindows([...ownState(ci), ...tickets.windowsOf(target.name, reach, service.policy)]),
        ...(pending.length === 0 ? {} : { pending }),
      });
    }
    services.set(service.name, { name: service.name, ciId: bound.ci.id, targets });
  }
  findings.push(...reversedFindings(graph, reached), ...unrelatedTargets(graph, bindings), ...tickets.findings);
  findings.push(...sharedHosts(graph, hostUsers), ...sharedCis(bindings));
  return {
    digest: estateDigest(graph.cis, graph.dependencies, services),
    readAtMs: nowMs,
    cis: graph.cis,
    dependencies: graph.dependencies,
    services,
    findings: sortFindings(findings),
    tickets: tickets.verdicts(),
  };
}

/** A target whose own CI is switched off in the CMDB is out of service until the CMDB says otherwise. */
function ownState(ci: Ci): TargetWindow[] {
  if (ci.operational) return [];
  const { id: ciId, name: ciName, provenance } = ci;
  const endMs = Number.POSITIVE_INFINITY;
  return [
    {
      ticket: "operational_status",
      kind: "maintenance",
      startMs: 0,
      endMs,
      ciId,
      ciName,
      path: [ciName],
      remaining: 0,
      provenance,
    },
  ];
}

function notOperational(graph: Graph, reach: Reach, own: Ci, target: string): Finding[] {
  const findings: Finding[] = [];
  for (const id of reach.ids()) {
    const ci = graph.cis.get(id)!;
    if (ci.operational) continue;
    const what =
      id === own.id
        ? "its CI"
        : `its dependency (${reach
            .path(id)
            .map((c) => c.name)
            .join(" → ")})`;
    const then = id === own.id ? "it gets no traffic" : "this alone moves nothing";
    const message = `${target}: ${what} ${ci.name} is not operational in the CMDB; ${then}`;
    findings.push({ severity: "warning", code: "NOT_OPERATIONAL", message, provenance: ci.provenance });
  }
  return findings;
}

/** Severe when a target's inheritance may be wrong for it, else a matter for the CMDB's owners. */
function reversedFindings(graph: Graph, reached: ReadonlySet<string>): Finding[] {
  return graph.reversed.map(({ dependent, dependency, type, provenance }) => {
    const [lower, upper] = [graph.cis.get(dependent)!, graph.cis.get(dependency)!];
    const touches = reached.has(dependent) || reached.has(dependency);
    const message =
      `relation ${provenance.sysId} (${type}) says that ${lower.name} (${lower.className}) depends on ${upper.name} ` +
      `(${upper.className}); by their classes it is the other way round. It is used as it stands: turn it in the CMDB`;
    return { severity: touches ? "error" : "warning", code: "RELATION_REVERSED", message, provenance };
  });
}

/** A target that its service does not depend on is often a slip in ballast.yaml. */
function unrelatedTargets(graph: Graph, bindings: Bindings): Finding[] {
  const findings: Finding[] = [];
  for (const [name, { ci, targets }] of bindings.services) {
    const reach = new Reach(graph, ci, "");
    for (const [target, targetCi] of targets) {
      if (reach.has(targetCi.id)) continue;
      const message = `${target}: the service ${name} (${ci.name}) does not depend on ${targetCi.name} in the CMDB`;
      findings.push({ severity: "warning", code: "TARGET_UNRELATED", message, provenance: targetCi.provenance });
    }
  }
  return findings;
}

/** Two targets of one service on one CI leave and return together, and its capacity is counted twice: mostly a slip. */
function sharedCis(bindings: Bindings): Finding[] {
  const findings: Finding[] = [];
  for (const [name, { targets }] of bindings.services) {
    const users = Map.groupBy(targets, ([, ci]) => ci);
    for (const [ci, bound] of users) {
      if (bound.length < 2) continue;
      const names = bound.map(([target]) => target).sort();
      const message = `${names.join(", ")} of the service ${name} are all bound to ${ci.name}; its tickets move all of them at once`;
      findings.push({ severity: "warning", code: "CI_SHARED", message, provenance: ci.provenance });
    }
  }
  return findings;
}

function sharedHosts(graph: Graph, users: ReadonlyMap<string, string[]>): Finding[] {
  const findings: Finding[] = [];
  for (const [id, targets] of users) {
    if (targets.length < 2) continue;
    const host = graph.cis.get(id)!;
    const message = `${host.name} carries ${[...targets].sort().join(", ")}; its cores are counted in full for each`;
    findings.push({ severity: "warning", code: "HOST_SHARED", message, provenance: host.provenance });
  }
  return findings;
}

function sortWindows(windows: TargetWindow[]): TargetWindow[] {
  const key = (w: TargetWindow): string => `${w.ticket} ${w.provenance.sysId}`;
  return windows.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs || (key(a) < key(b) ? -1 : 1));
}
