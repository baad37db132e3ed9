/** What a baseline is told beside the past. */
export interface BaselineShape {
  /** Steps after which the series tends to repeat, ≥ 1 (1: it does not). */
  season: number;
  /** Steps ahead that will be asked for, ≥ 1. */
  horizon: number;
}

/**
 * A classical forecast. `fit` reads the past once and chooses its parameters there; it keeps no reference to anything later, because
 * nothing later is handed to it. Values are finite; gaps are filled before (`filled` in gaps.ts).
 */
export interface Baseline {
  /** Name in tables; stable. */
  name: string;
  /** Steps of past below which it cannot answer. */
  least(shape: BaselineShape): number;
  fit(past: Float64Array, shape: BaselineShape): Fitted;
}

export interface Fitted {
  /** First number of steps after which `at` can answer; ≤ the length of the past. */
  from: number;
  /**
   * The forecast of step `origin + ahead − 1`, made after the first `origin` steps: of values it uses only past[0 … origin − 1]. The
   * parameters were chosen on the whole past.
   * @param origin from … past.length @param ahead 1 … horizon
   */
  at(origin: number, ahead: number): number;
  /** How wide errors at this step are against those at others, > 0; absent: all alike. A multiplicative season scales them with the load. */
  spread?(step: number): number;
}
