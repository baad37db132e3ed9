import type { Baseline } from "./baseline.ts";

/** Share of a new season in its phase's profile, and of a new deviation in the level: few, since h-step errors are flat around the best. */
const PROFILE_SHARES = [0.1, 0.2, 0.4, 0.7, 1] as const;
const LEVEL_SHARES = [0.02, 0.05, 0.1, 0.2, 0.4, 0.7] as const;
/** Origins on which the shares are compared. */
const CHOICE_ORIGINS = 400;

/**
 * Profile of the season (of a day, where the season is one) plus the present deviation from it, both exponentially weighted: per phase
 * p(t) = p(t−m) + γ·(y(t) − p(t−m)), deviation d(t) = d(t−1) + α·(y(t) − p(t−m) − d(t−1)), and
 *   ŷ(T+h) = p at the newest season of that phase + d(T).
 * It is Holt–Winters without a trend (FPP3 §8.3), except that γ and α are those of a small grid with the least absolute error at the middle
 * of the horizon over the newest origins, because that is what is asked.
 */
export const dayProfile: Baseline = {
  name: "day profile + EWMA",
  least: ({ season }) => season + 1,
  fit(past, { season, horizon }) {
    const ahead = Math.max(1, Math.ceil(horizon / 2));
    let best = follow(past, season, PROFILE_SHARES[2], LEVEL_SHARES[3]);
    let least = Number.POSITIVE_INFINITY;
    for (const gamma of PROFILE_SHARES) {
      for (const alpha of LEVEL_SHARES) {
        const one = follow(past, season, gamma, alpha);
        let error = 0;
        const last = past.length - ahead;
        for (let origin = Math.max(season, last - CHOICE_ORIGINS); origin <= last; origin++)
          error += Math.abs(past[origin + ahead - 1]! - said(one, season, origin, ahead));
        if (error < least) {
          least = error;
          best = one;
        }
      }
    }
    return { from: season, at: (origin, h) => said(best, season, origin, h) };
  },
};

interface Followed {
  /** Profile of a step's phase after that step. */
  profile: Float64Array;
  /** Deviation after each step; 0 within the first season, which is its own profile. */
  deviation: Float64Array;
}

function follow(past: Float64Array, season: number, gamma: number, alpha: number): Followed {
  const profile = past.slice();
  const deviation = new Float64Array(past.length);
  for (let t = season; t < past.length; t++) {
    const off = past[t]! - profile[t - season]!;
    profile[t] = profile[t - season]! + gamma * off;
    deviation[t] = deviation[t - 1]! + alpha * (off - deviation[t - 1]!);
  }
  return { profile, deviation };
}

function said({ profile, deviation }: Followed, season: number, origin: number, ahead: number): number {
  return profile[origin + ahead - 1 - season * Math.ceil(ahead / season)]! + deviation[origin - 1]!;
}
