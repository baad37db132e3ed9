import type { ChangeType } from "../../../control/ingest/records.ts";

/**
 * Every rate of the generated world and where it comes from. "assumed" means that no figure was found: such a rate shapes
 * who fails, and only the base rate is held to published figures.
 */
export const WORLD = {
  /**
   * Published: incidents in the seven days after a change in the BPI Challenge 2014 bank data (about 4.4 % of changes, 9.1 %
   * of emergencies); 3 % of 500 and 2.4–4 % of changes in two practitioners' reports; 10 % not right first time (Pink
   * Elephant benchmark 2012); change failure rate 5 % of the best cluster to 10–20 % of the middle ones (DORA 2024).
   * 4 to 9 % covers what is reported for whole IT departments; the middle is taken.
   */
  baseRate: 0.065,
  /** Published: 1,000 to 5,000 changes a year per 1,000 CIs in mid-size companies. */
  changesPerYear: 4_000,
  /** Published: 5 to 10 % emergencies, about 30 to 45 % standard. */
  types: { standard: 0.4, normal: 0.52, emergency: 0.08 } satisfies Partial<Record<ChangeType, number>>,
  /** Which CIs changes are made on. Assumed. */
  kinds: { app: 0.44, server: 0.28, db: 0.18, storage: 0.03, switch: 0.07 },
  /** Incidents a year and CI without changes. BPI 2014: 46,606 incidents on about 13,000 CIs in two years. */
  incidentsPerYear: 1.8,
  /** Assignment groups; the first ones get most of the work. Assumed. */
  groups: 30,
  /** Cancelled before the work; they stay in the calendar, and tell nothing. Assumed. */
  canceled: 0.05,
  /** Share of changes without a risk field. Assumed. */
  blankRisk: 0.12,
  /** Standard deviations, in logits, of what the form does not show: group (and its drift by quarter), CI. Assumed. */
  groupSd: 0.6,
  groupDriftSd: 0.15,
  ciSd: 0.6,
  /** What happens during the work and nobody can know before: the reason why no score can be perfect. Assumed. */
  executionSd: 0.8,
  /** How well the risk field sees the form's part of the logit, and where it is cut into four levels. Assumed. */
  assessor: { sight: 0.8, noise: 0.5, cuts: [0, 0.8, 1.6] },
  /** Share of degradations that begin during the window; the rest begin within so many hours of its end. Assumed. */
  during: 0.75,
  aftermathHours: 20,
};

/** Effects in logits. Signs follow published findings (size, conflicts, history, emergency); sizes are assumed. */
export const LOGIT = {
  type: { standard: -0.7, normal: 0, emergency: 0.4, unknown: 0 },
  kind: { app: 0, server: -0.2, db: 0.4, storage: 0.6, switch: 0.2 },
  size: 0.6,
  /** On databases and storage a long window is worse than elsewhere. */
  bigData: 0.5,
  cis: 0.4,
  lead: -0.12,
  fragility: 1,
  incidents: 0.5,
  nearIncidents: 0.15,
  conflicts: 0.6,
  offHours: { standard: 0, normal: 0.35, emergency: 0.5, unknown: 0 },
  weekend: -0.2,
  /** A CI younger than 90 days. */
  fresh: 0.6,
};

/** Probability that a failed change reaches a target so many relations above its CI. */
export const SPREAD = [0.95, 0.8, 0.55, 0.35, 0.2] as const;

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Mean of sigmoid(logit + executionSd · Z), Z standard normal: Gauss–Hermite quadrature with seven points. */
export function executionNoise(logit: number): number {
  let sum = 0;
  for (const [x, weight] of HERMITE) sum += weight * sigmoid(logit + Math.SQRT2 * WORLD.executionSd * x);
  return sum / Math.sqrt(Math.PI);
}

/** Abramowitz & Stegun, table 25.10, n = 7. */
const HERMITE: readonly [number, number][] = [
  [0, 0.8102646175568],
  [0.816287882858965, 0.4256072526101],
  [-0.816287882858965, 0.4256072526101],
  [1.673551628767471, 0.05451558281913],
  [-1.673551628767471, 0.05451558281913],
  [2.651961356835233, 0.0009717812450995],
  [-2.651961356835233, 0.0009717812450995],
];
