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

/** Memory that is used again from call to call. */
export class Aligner {
  readonly #variances: Float64Array;
  readonly #weights: Float64Array;
  readonly #answer: Alignment;

  constructor(edge: number, horizon: number) {
    this.#variances = new Float64Array(2 * edge + 1);
    this.#weights = new Float64Array(2 * edge + 1);
    this.#answer = { offset: 0, misfit: 0, misfitUnmoved: 0, forecast: new Float64Array(horizon) };
  }

  /** @returns memory that the next call uses again */
  align({ recent, profile, now, horizon, edge, judged, levelled, scale }: AlignmentInput): Alignment {
    const n = recent.length;
    const variances = this.#variances;
    const weights = this.#weights;
    const answer = this.#answer;
    const { forecast } = answer;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < variances.length; i++) {
      const offset = i - edge;
      let sum = 0;
      let squares = 0;
      for (let j = -judged; j < 0; j++) {
        const rest = recent[n + j]! - profile[now + j + offset]!;
        sum += rest;
        squares += rest * rest;
      }
      const variance = Math.max(0, squares / judged - (sum / judged) ** 2);
      variances[i] = variance;
      least = Math.min(least, variance);
    }
    const unit = least * 0.5 + 0.02 * scale * scale + 1e-9 * scale * scale;
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      weights[i] = Math.exp(-(variances[i]! - least) / unit - 0.02 * (i - edge) ** 2);
      total += weights[i]!;
    }
    forecast.fill(0);
    let mean = 0;
    for (let i = 0; i < weights.length; i++) {
      const offset = i - edge;
      const share = weights[i]! / total;
      mean += share * offset;
      let level = 0;
      for (let j = -levelled; j < 0; j++) level += recent[n + j]! - profile[now + j + offset]!;
      level /= levelled;
      for (let h = 0; h < horizon; h++) forecast[h]! += share * (profile[now + h + offset]! + level);
    }
    answer.offset = mean;
    answer.misfit = Math.sqrt(least);
    answer.misfitUnmoved = Math.sqrt(variances[edge]!);
    return answer;
  }
}
