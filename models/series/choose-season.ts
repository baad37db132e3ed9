import { HELD_OUT_SHARE, splitSpans, type TrainingSeries } from "../../control/features/series/training-examples.ts";
import { seasonalScale } from "../../control/forecast/scores/metrics.ts";

export type SeasonChoice = "day" | "week" | "auto";

export interface ChosenSeason {
  /** Steps. */
  season: number;
  /** One clause for people. */
  why: string;
}

const DAYS = 7;
/** A week is taken where the difference to the week before is at most so much of that to the day before. */
const MUCH_NEARER = 0.8;
/** With fewer weeks there is one to compare with and hardly one to learn from. */
const LEAST_WEEKS = 4;

/**
 * The season that a demand model is trained with. `auto` compares each load with the day and the week before, on the training span alone;
 * a week costs more (the past that a server gives the model grows from 25 to 69 days of five-minute steps), so it has to be much nearer.
 */
export function chooseSeason(
  series: readonly TrainingSeries[],
  choice: SeasonChoice,
  stepsPerDay: number,
  horizon: number,
): ChosenSeason {
  const week = DAYS * stepsPerDay;
  if (choice !== "auto") return { season: choice === "day" ? stepsPerDay : week, why: "as asked" };
  const day = (why: string): ChosenSeason => ({ season: stepsPerDay, why });
  const long = series.filter(({ values }) => values.length >= LEAST_WEEKS * week);
  if (long.length < series.length) return day(`not every load has ${LEAST_WEEKS} weeks`);
  if (long.some(({ values }) => splitSpans({ season: week, horizon }, values.length) === null))
    return day("too little remains to learn weeks from");
  const ratios = long.map(({ values }) => {
    const trained = values.subarray(0, Math.floor(values.length * (1 - 2 * HELD_OUT_SHARE)));
    // Both of the same steps: those of the first week have none before them.
    return seasonalScale(trained, week) / seasonalScale(trained.subarray(week - stepsPerDay), stepsPerDay);
  });
  const ratio = ratios.reduce((sum, one) => sum + one, 0) / ratios.length;
  if (!(ratio <= MUCH_NEARER)) return day(`the week before is no nearer than the day before (${ratio.toFixed(2)})`);
  return {
    season: week,
    why: `loads differ from the week before by ${ratio.toFixed(2)} of what they do from the day before`,
  };
}
