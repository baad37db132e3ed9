import { CLASSICAL_MEDIAN } from "./classical-median.ts";
import { horizonsOf, type LossRecord, type ShareOptions, sharesOf, upTo } from "./loss-record.ts";
import { COMBINATION, REFERENCE } from "./members.ts";
import { drawnTo } from "./mixture.ts";

export const MODEL = "model";
/** What answers: members and model, each by its share. */
export const MIXTURE = "mixture";
/** With fewer windows to choose on, a member that needs a long past is left out instead. */
export const MIN_WINDOWS = 6;
/** Windows of the test that must be over before they alone say shares: one or two are luck. */
const MIN_OVER = 3;
/** Horizons of losses at which half of the say still lies with the classical median. */
const PRIOR_HORIZONS = 6;
/** Of the say at most: with hardly two seasons the classical ones may all be wrong about the season. */
const MAX_PRIOR_SHARE = 0.75;

/** Share per name; they sum to 1. */
export type Shares = ReadonlyMap<string, number>;

/**
 * What a mixture is made of. What is best in the middle is not what knows best how far from it values fall: the median goes by one set
 * of shares and the distances of the other levels from it by another.
 */
export interface MixtureShares {
  middle: Shares;
  width: Shares;
}

/** Weight of the MASE against the pinball loss in what the shares of each follow. */
const MASE_WEIGHTS: Readonly<Record<keyof MixtureShares, number>> = { middle: 0.75, width: 0.25 };

function each(share: (maseWeight: number, of: keyof MixtureShares) => Shares): MixtureShares {
  return { middle: share(MASE_WEIGHTS.middle, "middle"), width: share(MASE_WEIGHTS.width, "width") };
}

/**
 * Shares of the members when the first `count` windows of the test are over, by what they got wrong on these and before.
 * @param before without those that the history is too short for @param during the windows of the test, of all members
 */
export function sharesOfMembers(before: LossRecord, during: LossRecord, count: number, season: number): MixtureShares {
  const over = upTo(during, count);
  // Where the history was too short for some, all can be held against each other only on the windows that are over.
  const alone = count >= MIN_WINDOWS && before.singles.size < over.singles.size;
  const known = alone ? [over] : [before, over];
  // Without a season both are one forecast, which would count twice.
  const names = [...(alone ? over : before).singles.keys()].filter(
    (name) => (season > 1 || name !== "naive") && during.singles.has(name),
  );
  const tells = before.observed.length > 0 || count >= MIN_OVER;
  const drawn = during.singles.has(CLASSICAL_MEDIAN)
    ? { name: CLASSICAL_MEDIAN, share: priorShare(known.reduce((sum, record) => sum + horizonsOf(record), 0)) }
    : undefined;
  return each((maseWeight) => {
    const options = { reference: REFERENCE, preferred: COMBINATION, maseWeight, drawn };
    const shares = tells ? sharesOf(known, names, options) : new Map<string, number>();
    if (shares.size > 0) return shares;
    const nothing = new Map([[REFERENCE, 1]]);
    return drawn === undefined ? nothing : drawnTo(nothing, drawn);
  });
}

/** What the classical median gets whatever the losses say of the others: a few windows that overlap are told apart by luck. */
function priorShare(horizons: number): number {
  return Math.min(MAX_PRIOR_SHARE, PRIOR_HORIZONS ** 2 / (PRIOR_HORIZONS ** 2 + horizons ** 2));
}

/** Adds the model's shares against the mixture's, by what both got wrong; none where nothing tells. */
export function withModel(shares: MixtureShares, unseen: LossRecord, over: LossRecord): MixtureShares {
  const tells = unseen.observed.length > 0 || over.observed.length >= MIN_OVER;
  return each((maseWeight, of) => {
    const options: ShareOptions = { reference: REFERENCE, preferred: MIXTURE, maseWeight };
    const both = tells ? sharesOf([unseen, over], [MIXTURE, MODEL], options) : new Map<string, number>();
    const rest = both.size === 0 ? 1 : (both.get(MIXTURE) ?? 0);
    const out = new Map([...shares[of]].map(([name, share]) => [name, share * rest]));
    if (rest < 1) out.set(MODEL, 1 - rest);
    return out;
  });
}

/** Mean over windows of the shares that the median is made of. */
export function meanShares(shares: readonly MixtureShares[]): Map<string, number> {
  const mean = new Map<string, number>();
  for (const { middle } of shares)
    for (const [name, share] of middle) mean.set(name, (mean.get(name) ?? 0) + share / shares.length);
  return mean;
}
