import type { Position } from "../../common/errors.ts";
import type { BallastConfig } from "../config/config.ts";
import type { ConfigProblem } from "../config/config-error.ts";
import { nearestNames } from "../config/nearest-name.ts";
import type { Ci, Finding } from "./estate.ts";

const MAX_CANDIDATES = 5;

/** The CIs that ballast.yaml means: what a service or target is in the estate. */
export interface Bindings {
  services: ReadonlyMap<string, { ci: Ci; targets: ReadonlyMap<string, Ci> }>;
  problems: ConfigProblem[];
  findings: Finding[];
}

/** Finds the CI of every service and target, by sys_id or by name. Mistakes carry their line of ballast.yaml. */
export function bindCis(config: BallastConfig, cis: ReadonlyMap<string, Ci>, source: string): Bindings {
  const byName = new Map<string, Ci[]>();
  for (const ci of cis.values()) {
    const list = byName.get(ci.name);
    if (list === undefined) byName.set(ci.name, [ci]);
    else list.push(ci);
  }
  const problems: ConfigProblem[] = [];
  const findings: Finding[] = [];

  const find = (name: string, position: Position): Ci | undefined => {
    const named = byName.get(name) ?? [];
    const bySysId = cis.get(name);
    const candidates = bySysId === undefined ? named.filter((ci) => !ci.retired) : [bySysId];
    if (candidates.length > 1) {
      const shown = candidates.slice(0, MAX_CANDIDATES).map((ci) => `${ci.id} (${ci.className})`);
      const more = candidates.length > MAX_CANDIDATES ? ` and ${candidates.length - MAX_CANDIDATES} more` : "";
      const found = `${JSON.stringify(name)}, a name of ${candidates.length} CIs`;
      problems.push({ position, found, expected: `one of their sys_ids: ${shown.join(", ")}${more}` });
      return undefined;
    }
    const ci = candidates[0];
    if (ci === undefined && named.length === 0) {
      const near = nearestNames(name, byName.keys(), 3);
      const found = `${JSON.stringify(name)}, which no CI of ${source} is called`;
      const expected =
        near.length > 0 ? `the name or sys_id of a CI, such as ${near.join(", ")}` : "the name or sys_id of a CI";
      problems.push({ position, found, expected });
      return undefined;
    }
    if (ci === undefined || ci.retired) {
      const found = `${JSON.stringify(name)}, a retired CI`;
      problems.push({ position, found, expected: "a CI that is in use" });
      return undefined;
    }
    if (named.length > 1 && bySysId === undefined) {
      const message = `${position.path}: ${named.length - 1} retired CIs are called ${name} too; ${ci.id} is used`;
      findings.push({ severity: "note", code: "NAME_SHARED_WITH_RETIRED", message, provenance: ci.provenance });
    }
    return ci;
  };

  const services = new Map<string, { ci: Ci; targets: Map<string, Ci> }>();
  for (const service of config.services.values()) {
    const ci = find(service.ci, service.ciPosition);
    const targets = new Map<string, Ci>();
    for (const target of service.targets.values()) {
      const targetCi = find(target.ci, target.ciPosition);
      if (targetCi !== undefined) targets.set(target.name, targetCi);
    }
    if (ci !== undefined) services.set(service.name, { ci, targets });
  }
  return { services, problems, findings };
}
