/*
 * Forecast accuracy. Definitions follow GIFT-Eval (Aksu et al., 2024) and Hyndman & Koehler (2006):
 *   MASE      mean |y − median| over the mean absolute seasonal difference |y_t − y_{t−m}| of the past, m = one day here
 *   pinball   max(q·(y − f), (q − 1)·(y − f))
 *   wQL       mean over levels of 2·Σ pinball / Σ |y|
 *   coverage  share of observations at or below the forecast of a level; perfect when it equals the level
 */

/** Pinball loss of forecast `f` at level `q` (0 … 1) when `y` was observed; same unit as y. */
export function pinball(q: number, y: number, f: number): number {
  return y >= f ? q * (y - f) : (1 - q) * (f - y);
}

/** Mean |y_t − y_{t−m}| over all pairs where both are observed; NaN when there is none. */
export function seasonalScale(values: ArrayLike<number>, seasonSteps: number): number {
  let sum = 0;
  let count = 0;
  for (let i = seasonSteps; i < values.length; i++) {
    const difference = Math.abs(values[i]! - values[i - seasonSteps]!);
    if (!Number.isFinite(difference)) continue;
    sum += difference;
    count++;
  }
  return count === 0 ? Number.NaN : sum / count;
}

export interface Scores {
  mase: number;
  wql: number;
  /** Per level, in order of the levels. */
  pinball: number[];
  coverage: number[];
  /** Steps scored. */
  count: number;
}

/** Collects forecasts and observations of several services; each service's errors are scaled by its own past. */
export class ScoreBoard {
  readonly levels: readonly number[];
  readonly #pinball: number[];
  readonly #covered: number[];
  readonly #median: number;
  readonly #errors = new Map<string, { scale: number; sum: number; count: number }>();
  #absolute = 0;
  #count = 0;

  /** @param levels ascending; the one nearest to 0.5 is scored as the point forecast */
  constructor(levels: readonly number[]) {
    this.levels = levels;
    this.#pinball = levels.map(() => 0);
    this.#covered = levels.map(() => 0);
    this.#median = levels.reduce(
      (best, level, i) => (Math.abs(level - 0.5) < Math.abs(levels[best]! - 0.5) ? i : best),
      0,
    );
  }

  /**
   * @param scale the service's `seasonalScale` over the past before the first scored origin
   * @param forecast one value per level
   */
  add(service: string, scale: number, observed: number, forecast: readonly number[]): void {
    if (!Number.isFinite(observed)) return;
    for (let i = 0; i < this.levels.length; i++) {
      this.#pinball[i]! += pinball(this.levels[i]!, observed, forecast[i]!);
      if (observed <= forecast[i]!) this.#covered[i]!++;
    }
    let entry = this.#errors.get(service);
    if (entry === undefined) {
      entry = { scale, sum: 0, count: 0 };
      this.#errors.set(service, entry);
    }
    entry.sum += Math.abs(observed - forecast[this.#median]!);
    entry.count++;
    this.#absolute += Math.abs(observed);
    this.#count++;
  }

  /** MASE is the mean over services; the other scores are over all steps. NaN where nothing was added. */
  scores(): Scores {
    const services = [...this.#errors.values()].filter((entry) => entry.scale > 0);
    const mase = services.reduce((sum, entry) => sum + entry.sum / entry.count / entry.scale, 0) / services.length;
    const wql = this.#pinball.reduce((sum, loss) => sum + (2 * loss) / this.#absolute, 0) / this.levels.length;
    return {
      mase,
      wql,
      pinball: this.#pinball.map((loss) => loss / this.#count),
      coverage: this.#covered.map((covered) => covered / this.#count),
      count: this.#count,
    };
  }
}
