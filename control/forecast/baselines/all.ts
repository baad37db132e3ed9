import type { Baseline } from "./baseline.ts";
import { dayProfile } from "./day-profile.ts";
import { holt } from "./holt.ts";
import { drift, meanOfLast, naive, seasonalNaive } from "./naive.ts";
import { theta } from "./theta.ts";

/** Every baseline that a model is held against, the simplest first. */
export const BASELINES: readonly Baseline[] = [naive, seasonalNaive, drift, meanOfLast(), holt, theta, dayProfile];
