import { BallastError } from "../../common/errors.ts";
import { AFTERMATH_MS } from "../../control/features/risk/change-history.ts";
import type { LabelledCase } from "../../control/features/risk/training-cases.ts";

/** What a case is used for, as the training file has it; `unused` where its outcome was not known at the cut. */
export const SPAN = { unused: -1, train: 0, calibrate: 1, test: 2 } as const;
export type Span = (typeof SPAN)[keyof typeof SPAN];

/** Shares of the calendar for training and for calibration; the rest is the test span. */
export const SHARES = { train: 0.6, calibrate: 0.2 };
/** Fewer degraded targets than this in a span say nothing. */
const MIN_DEGRADED = 20;

/**
 * Splits cases by time: train before calibrate before test. A case whose outcome became known only after the cut that
 * follows it is used nowhere: at the cut nobody could have learnt from it.
 * Errors: TRAIN_HISTORY_TOO_SHORT.
 */
export function splitByTime(
  cases: readonly LabelledCase[],
  minDegraded = MIN_DEGRADED,
): { spans: Span[]; cutsMs: [number, number] } {
  if (cases.length === 0)
    throw new BallastError("TRAIN_HISTORY_TOO_SHORT", "no executed change has a target that depends on it");
  const first = Math.min(...cases.map((c) => c.facts.startMs));
  const last = Math.max(...cases.map((c) => c.facts.startMs));
  const cutsMs: [number, number] = [
    first + SHARES.train * (last - first),
    first + (SHARES.train + SHARES.calibrate) * (last - first),
  ];
  const spans = cases.map(({ facts }): Span => {
    if (facts.startMs >= cutsMs[1]) return SPAN.test;
    const span = facts.startMs < cutsMs[0] ? SPAN.train : SPAN.calibrate;
    return facts.endMs + AFTERMATH_MS > cutsMs[span] ? SPAN.unused : span;
  });
  for (const [name, span] of [
    ["training", SPAN.train],
    ["calibration", SPAN.calibrate],
    ["test", SPAN.test],
  ] as const) {
    const degraded = cases.filter((one, i) => spans[i] === span && one.degraded).length;
    if (degraded < minDegraded) {
      throw new BallastError(
        "TRAIN_HISTORY_TOO_SHORT",
        `the ${name} span has ${degraded} degraded targets, ${minDegraded} are needed`,
      );
    }
  }
  return { spans, cutsMs };
}
