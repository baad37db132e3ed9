import type { Estate, EstateService } from "./estate.ts";

/** CIs that most services share (a core switch, a directory) couple none of them: left out from this share of the services on. */
const COMMON_SHARE = 0.5;
const LEAST_SERVICES_FOR_COMMON = 4;

export interface CoupledService {
  service: string;
  /** 0 < w ≤ 1: shared CIs over those of the service that has fewer. */
  weight: number;
}

/**
 * By service, those that stand on the same CIs, itself left out: one that calls another has all of the other's CIs below it (weight 1),
 * two on one database share that. In the order of weights, then names. Pure.
 */
export function coupledServices(estate: Estate): Map<string, CoupledService[]> {
  const below = new Map<string, string[]>();
  for (const { dependent, dependency } of estate.dependencies) {
    const list = below.get(dependent);
    if (list === undefined) below.set(dependent, [dependency]);
    else list.push(dependency);
  }
  const names = [...estate.services.keys()].sort();
  const reach = new Map(names.map((name) => [name, reachOf(estate.services.get(name)!, below, estate)]));
  const users = new Map<string, number>();
  for (const ids of reach.values()) for (const id of ids) users.set(id, (users.get(id) ?? 0) + 1);
  if (names.length >= LEAST_SERVICES_FOR_COMMON)
    for (const ids of reach.values())
      for (const id of ids) if (users.get(id)! > COMMON_SHARE * names.length) ids.delete(id);
  return new Map(
    names.map((name) => {
      const own = reach.get(name)!;
      const coupled = names.flatMap((other) => {
        const theirs = reach.get(other)!;
        const least = Math.min(own.size, theirs.size);
        if (other === name || least === 0) return [];
        let shared = 0;
        for (const id of own) if (theirs.has(id)) shared++;
        return shared === 0 ? [] : [{ service: other, weight: shared / least }];
      });
      return [name, coupled.sort((a, b) => b.weight - a.weight || (a.service < b.service ? -1 : 1))];
    }),
  );
}

/** CIs at or below a service and its targets; nothing is inherited through a retired one. */
function reachOf(service: EstateService, below: ReadonlyMap<string, string[]>, estate: Estate): Set<string> {
  const reached = new Set([service.ciId, ...service.targets.map(({ ciId }) => ciId)]);
  for (const id of reached)
    for (const next of below.get(id) ?? []) if (estate.cis.get(next)?.retired !== true) reached.add(next);
  return reached;
}
