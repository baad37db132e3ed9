import type { ServiceConfig, TargetConfig } from "../config/config.ts";
import type { CapacityOrigin, Ci, Finding } from "./estate.ts";
import type { Graph } from "./graph.ts";
import { layerOf, SERVER_LAYER } from "./layer.ts";
import { carriesCapacity } from "./relation-type.ts";

/** Taken for a host that the CMDB gives no core count for, and for a target without any host. */
export const DEFAULT_CORES = 4;

export interface TargetCapacity {
  capacityRps: number;
  capacitySource: string;
  capacityOrigin: CapacityOrigin;
  /** The hosts that were counted. */
  hosts: Ci[];
  findings: Finding[];
}

/**
 * Requests per second of one target: the sum over its hosts of cores × rpsPerCore × clock speed ÷ referenceMhz.
 * Hosts are found from the target's CI along Runs on, Hosted on and Virtualized by, down to the first CI that is a server
 * or has a core count. A host without a clock speed counts as a reference server.
 */
export function targetCapacity(graph: Graph, ci: Ci, target: TargetConfig, service: ServiceConfig): TargetCapacity {
  const findings: Finding[] = [];
  const warn = (code: string, message: string, about: Ci): void => {
    findings.push({ severity: "warning", code, message: `${target.name}: ${message}`, provenance: about.provenance });
  };
  const all = hostsOf(graph, ci);
  for (const out of all.filter((host) => !host.operational)) {
    warn("HOST_NOT_OPERATIONAL", `${out.name} is not operational and is not counted`, out);
  }
  const hosts = all.filter((host) => host.operational);
  if (target.capacityRps !== null) {
    const capacitySource = "capacityRps in ballast.yaml";
    return { capacityRps: target.capacityRps, capacitySource, capacityOrigin: "configured", hosts, findings };
  }
  const { rpsPerCore, referenceMhz } = service.capacity;
  if (hosts.length === 0) {
    warn("CAPACITY_ASSUMED", `${ci.name} runs on no server of the export; ${DEFAULT_CORES} cores are assumed`, ci);
    const capacitySource = `${DEFAULT_CORES} cores assumed, no server known × ${rpsPerCore} rps per core`;
    return { capacityRps: DEFAULT_CORES * rpsPerCore, capacitySource, capacityOrigin: "assumed", hosts, findings };
  }
  let capacityRps = 0;
  const parts: string[] = [];
  for (const host of hosts) {
    if (host.cpuCores === undefined) {
      warn("CAPACITY_ASSUMED", `${host.name} has no core count; ${DEFAULT_CORES} cores are assumed`, host);
    }
    const cores = host.cpuCores ?? DEFAULT_CORES;
    capacityRps += cores * rpsPerCore * ((host.cpuSpeedMhz ?? referenceMhz) / referenceMhz);
    const speed = host.cpuSpeedMhz === undefined ? "clock speed unknown" : `${host.cpuSpeedMhz} MHz`;
    parts.push(`${host.name} (${cores} cores${host.cpuCores === undefined ? " assumed" : ""}, ${speed})`);
  }
  const capacitySource = `${parts.join(" + ")} × ${rpsPerCore} rps per core at ${referenceMhz} MHz`;
  const capacityOrigin = hosts.some((host) => host.cpuCores === undefined) ? "assumed" : "estate";
  return { capacityRps, capacitySource, capacityOrigin, hosts, findings };
}

function hostsOf(graph: Graph, start: Ci): Ci[] {
  const hosts = new Map<string, Ci>();
  const seen = new Set([start.id]);
  const open = [start];
  for (let ci = open.pop(); ci !== undefined; ci = open.pop()) {
    if (ci.cpuCores !== undefined || layerOf(ci.className) === SERVER_LAYER) {
      hosts.set(ci.id, ci);
      continue;
    }
    for (const { dependency, type } of graph.below.get(ci.id) ?? []) {
      const next = graph.cis.get(dependency)!;
      if (!carriesCapacity(type) || next.retired || seen.has(dependency)) continue;
      seen.add(dependency);
      open.push(next);
    }
  }
  return [...hosts.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
