import type { SeriesShape } from "../../control/features/series/shape.ts";
import { DEFAULT_EXAMPLES, type ExampleOptions } from "../../control/features/series/training-examples.ts";

/** Steps of a horizon up to which the usual number of origins is drawn. At 720 steps a third of them made a model a fifth worse. */
const USUAL_HORIZON = 720;

/**
 * How many examples a backtest's training draws. An origin costs a forecast of every step of the horizon, and a sequence to learn that grows
 * with it, so for very long ones fewer origins are drawn and more steps of each: as many rows.
 */
export function backtestExamples({ horizon }: SeriesShape): Partial<ExampleOptions> {
  if (horizon <= USUAL_HORIZON) return {};
  const share = USUAL_HORIZON / horizon;
  const { originsPerCopy, originsPerHeldOut, stepsPerOrigin } = DEFAULT_EXAMPLES;
  return {
    originsPerCopy: Math.ceil(share * originsPerCopy),
    originsPerHeldOut: Math.ceil(share * originsPerHeldOut),
    stepsPerOrigin: Math.round(stepsPerOrigin / share),
  };
}
