/**
 * Where within the cycle the series is: the profile is moved by −edge … +edge steps, each offset is judged by the variance of
 * what remains over the last steps (the level is free), and the offsets are mixed by how well they fit.
 */
export interface Alignment {
  /** Mean offset, steps; positive = the series runs ahead of the profile. */
  offset: number;
  /** Root of the least and of the unmoved remaining variance. */
  misfit: number;
  misfitUnmoved: number;
  /** The moved profiles, each raised to the present level, mixed. */
  forecast: Float64Array;
}

export interface AlignmentInput {
  /** The last steps before the origin. */
  recent: Float64Array;
  /** Over [−recent.length − edge, horizon + edge) around the origin, which is at place `now`. */
  profile: Float64Array;
  now: number;
  horizon: number;
  edge: number;
  /** Steps judged, and steps that the level is taken over. */
  judged: number;
  levelled: number;
  scale: number;
}

export function align({ recent, profile, now, horizon, edge, judged, levelled, scale }: AlignmentInput): Alignment {
  const n = recent.length;
  const variances: number[] = [];
  for (let offset = -edge; offset <= edge; offset++) {
    let sum = 0;
    let squares = 0;
    for (let j = -judged; j < 0; j++) {
      const rest = recent[n + j]! - profile[now + j + offset]!;
      sum += rest;
      squares += rest * rest;
    }
    variances.push(Math.max(0, squares / judged - (sum / judged) ** 2));
  }
  const least = Math.min(...variances);
  const unit = least * 0.5 + 0.02 * scale * scale + 1e-9 * scale * scale;
  const weights = variances.map((variance, i) => Math.exp(-(variance - least) / unit - 0.02 * (i - edge) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const forecast = new Float64Array(horizon);
  let mean = 0;
  for (const [i, weight] of weights.entries()) {
    const offset = i - edge;
    const share = weight / total;
    mean += share * offset;
    let level = 0;
    for (let j = -levelled; j < 0; j++) level += recent[n + j]! - profile[now + j + offset]!;
    level /= levelled;
    for (let h = 0; h < horizon; h++) forecast[h]! += share * (profile[now + h + offset]! + level);
  }
  return { offset: mean, misfit: Math.sqrt(least), misfitUnmoved: Math.sqrt(variances[edge]!), forecast };
}
