/** What planning for `planned` requests per second costs when `actual` came. */
export interface ProvisionAreas {
  /** Requests above the plan: Σ max(0, actual − planned)·step, in requests. */
  under: number;
  /** Capacity held and not asked for: Σ max(0, planned − actual)·step, in requests. */
  over: number;
  /** Requests of the scored steps; `under / requests` is the share that found no capacity. */
  requests: number;
  /** Share of scored steps with actual > planned, 0 … 1. */
  underShare: number;
}

/**
 * Areas between plan and load, the elasticity metrics of Herbst, Kounev & Reussner (ICAC 2013) in requests. Steps without a reading (NaN) are
 * left out; without any, all are 0.
 * @param actual, planned requests per second per step, of one length @param stepMs length of a step
 */
export function provisionAreas(actual: ArrayLike<number>, planned: ArrayLike<number>, stepMs: number): ProvisionAreas {
  if (actual.length !== planned.length) throw new Error(`${actual.length} steps, planned for ${planned.length}`);
  const seconds = stepMs / 1000;
  const areas = { under: 0, over: 0, requests: 0, underShare: 0 };
  let steps = 0;
  for (let t = 0; t < actual.length; t++) {
    const lack = actual[t]! - planned[t]!;
    if (!Number.isFinite(lack)) continue;
    steps++;
    areas.requests += actual[t]! * seconds;
    if (lack > 0) {
      areas.under += lack * seconds;
      areas.underShare++;
    } else areas.over -= lack * seconds;
  }
  if (steps > 0) areas.underShare /= steps;
  return areas;
}
