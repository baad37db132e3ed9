import { Reach } from "../../estate/reach.ts";
import type { ChangeHistory } from "./change-history.ts";
import type { RiskCase } from "./risk-features.ts";

export interface LabelledCase extends RiskCase {
  degraded: boolean;
}

/** Further away than this a change is taken to say nothing of a target; bounds the rows of a change deep in the network. */
const MAX_DISTANCE = 6;

/**
 * One case per executed change and target that depends on it, in order of start, with what became of it.
 * @param targets ids of the CIs that carry targets
 * @param executed whether a change was carried out (a cancelled one tells nothing)
 */
export function trainingCases(
  history: ChangeHistory,
  targets: readonly string[],
  executed: (sysId: string) => boolean,
): LabelledCase[] {
  const reaches = targets.map((id) => new Reach(history.graph, history.graph.cis.get(id)!, ""));
  const byCi = new Map<string, { target: string; path: string[] }[]>();
  targets.forEach((target, i) => {
    for (const id of reaches[i]!.ids()) {
      const path = reaches[i]!.path(id).map((ci) => ci.id);
      if (path.length - 1 > MAX_DISTANCE) continue;
      const list = byCi.get(id) ?? [];
      list.push({ target, path });
      byCi.set(id, list);
    }
  });
  const cases: LabelledCase[] = [];
  for (const facts of history.changes) {
    if (!executed(facts.sysId)) continue;
    const nearest = new Map<string, string[]>();
    for (const { target, path } of facts.cis.flatMap((ci) => byCi.get(ci) ?? [])) {
      if (path.length < (nearest.get(target)?.length ?? Number.POSITIVE_INFINITY)) nearest.set(target, path);
    }
    for (const [targetCi, path] of nearest) {
      cases.push({ facts, targetCi, distance: path.length - 1, degraded: history.degraded(facts, path) });
    }
  }
  return cases;
}
