/** Weight of a forecaster: (least loss / its loss) to this power. One that is a tenth worse than the best has a tenth of its say. */
const SHARPNESS = 24;
/** How many times its weight the preferred one gets: it adapts within a series, the others' parameters look back at all of it. */
const PREFERENCE = 3;
/** Weight of the oldest window's loss against the newest one's. */
const FADED = 0.3;
/** A smaller share is not worth asking for. */
const LEAST_SHARE = 1e-4;
/** A window counts by the median loss of all in it, plus this share of what is usual: around a jump all are wrong, and that tells little. */
const DIFFICULTY_FLOOR = 0.3;
/**
 * Weight of the plain mean of losses, which such windows decide, beside that robust one: a job that runs every night makes one window in
 * many, and whoever forecasts it is wanted.
 */
const PLAIN_WEIGHT = 0.2;
/** Of the reference's loss: keeps the ratio of losses finite where a forecaster makes no error. */
const LEAST_LOSS = 1e-6;

/** One that gets a share beside what its losses say, unless they are beyond this many times the least. */
export interface Drawn {
  name: string;
  /** Of all, 0 … 1. */
  share: number;
}
const DRAWN_LOSS = 2;

/**
 * Shares of forecasters by what they got wrong on the same windows before (inverse loss: Bates & Granger 1969), newest windows counting
 * most; the names of those that have a share, which sum to 1. Empty without a window.
 * @param losses per name one loss per window, oldest first
 */
export function sharesByLoss(
  losses: ReadonlyMap<string, readonly number[]>,
  { preferred, drawn }: { preferred?: string; drawn?: Drawn | undefined } = {},
): Map<string, number> {
  const known = [...losses].filter(([, values]) => values.length > 0);
  const difficulty = (known[0]?.[1] ?? []).map((_, i) => median(known.map(([, values]) => values[i]!)));
  const usual = DIFFICULTY_FLOOR * median(difficulty);
  const means = known
    .map(([name, values]) => ({
      name,
      robust: faded(
        values.map((value, i) => value / (difficulty[i]! + usual || 1)),
        0.5,
      ),
      plain: faded(values, 1),
    }))
    .filter(({ robust, plain }) => Number.isFinite(robust) && Number.isFinite(plain));
  const [robust, plain] = [means.map((one) => one.robust), means.map((one) => one.plain)].map((all) =>
    Math.min(...all),
  );
  const ratio = (least: number, mean: number): number => (least + LEAST_LOSS) / (mean + LEAST_LOSS);
  /** Least loss over its loss, ≤ 1. */
  const goodness = new Map(
    means.map((one) => [
      one.name,
      ratio(robust!, one.robust) ** (1 - PLAIN_WEIGHT) * ratio(plain!, one.plain) ** PLAIN_WEIGHT,
    ]),
  );
  const weights = [...goodness].map(([name, good]): [string, number] => [
    name,
    (name === preferred ? PREFERENCE : 1) * good ** SHARPNESS,
  ]);
  const all = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const kept = weights.filter(([, weight]) => weight / all > LEAST_SHARE);
  const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
  const shares = new Map(kept.map(([name, weight]) => [name, weight / total]));
  if (drawn === undefined || shares.size === 0) return shares;
  // One that no loss speaks of is as good as the best.
  const good = losses.has(drawn.name) ? (goodness.get(drawn.name) ?? 0) : 1;
  return drawnTo(shares, { ...drawn, share: drawn.share * Math.min(1, DRAWN_LOSS * good) ** 2 });
}

/** Gives one name its share and leaves the rest to the others. */
export function drawnTo(shares: ReadonlyMap<string, number>, { name, share }: Drawn): Map<string, number> {
  const out = new Map([...shares].map(([one, own]) => [one, own * (1 - share)]));
  return out.set(name, (out.get(name) ?? 0) + share);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** Power mean, newest values counting most. With a power below 1 a few bad windows do not decide. */
function faded(values: readonly number[], power: number): number {
  let sum = 0;
  let total = 0;
  for (const [i, value] of values.entries()) {
    const weight = FADED ** ((values.length - 1 - i) / values.length);
    sum += weight * value ** power;
    total += weight;
  }
  return (sum / total) ** (1 / power);
}

/**
 * Weighted mean of forecasts level by level (Vincentization: Lichtendahl, Grushka-Cockayne & Winkler 2013), or what most of them agree on.
 * Levels never cross.
 */
export function mixed(parts: readonly { share: number; quantiles: readonly Float64Array[] }[]): Float64Array[] {
  // An exponential of a trend can overflow in one window though it never did before.
  const finite = parts.filter(({ quantiles }) =>
    quantiles.every((row) => row.every((value) => Number.isFinite(value))),
  );
  const used = finite.length > 0 ? finite : parts;
  const total = used.reduce((sum, { share }) => sum + share, 0);
  const rows = used[0]!.quantiles.map((row) => new Float64Array(row.length));
  for (let h = 0; h < rows[0]!.length; h++) {
    const said = rows.map((_, q) => {
      const values = used.map(({ share, quantiles }) => ({ share: share / total, value: quantiles[q]![h]! }));
      return agreed(values) ?? values.reduce((sum, { share, value }) => sum + share * value, 0);
    });
    // A level that most agree on and a mean beside it may cross.
    for (const [q, value] of said.sort((a, b) => a - b).entries()) rows[q]![h] = value;
  }
  return rows;
}

/** The levels of one forecast moved to where another has its median: `middle` says where, `width` how far around it. */
export function around(
  middle: readonly Float64Array[],
  width: readonly Float64Array[],
  levels: readonly number[],
): Float64Array[] {
  const median = levels.indexOf(0.5);
  if (median < 0) return width.map((row) => row.slice());
  return width.map((row) => row.map((value, h) => value - width[median]![h]! + middle[median]![h]!));
}

/** The value that several with more than half of the shares say to the last digit: a count or a setting, of which a mean would be no value. */
function agreed(values: readonly { share: number; value: number }[]): number | null {
  for (const { value } of values) {
    const same = values.filter((other) => other.value === value);
    if (same.length > 1 && same.reduce((sum, { share }) => sum + share, 0) > 0.5) return value;
  }
  return null;
}

/**
 * The value that a series has held for longer than it ever held one before, and for at least `least` steps; null where it has not. Such a
 * series was switched off or capped: no forecaster that remembers what it was before does as well.
 */
export function heldValue(past: ArrayLike<number>, least: number): number | null {
  let longest = 0;
  let run = 1;
  for (let t = 1; t < past.length; t++) {
    if (past[t] === past[t - 1]) {
      run++;
      continue;
    }
    longest = Math.max(longest, run);
    run = 1;
  }
  return run >= least && run > longest ? past[past.length - 1]! : null;
}
