/**
 * The past with each gap (NaN) filled: the value of one season before where there is one, else the last value, else (at the start) the
 * first. All-gap input gives zeros. Returns the input itself when nothing is missing.
 */
export function filled(past: Float64Array, season: number): Float64Array {
  const first = past.findIndex((value) => Number.isFinite(value));
  if (first < 0) return new Float64Array(past.length);
  if (past.every((value) => Number.isFinite(value))) return past;
  const out = past.slice();
  out.fill(past[first]!, 0, first);
  for (let t = first + 1; t < out.length; t++) {
    if (Number.isFinite(out[t]!)) continue;
    // A value before the first reading is itself a filler: no season to copy.
    out[t] = season > 1 && t - season >= first ? out[t - season]! : out[t - 1]!;
  }
  return out;
}
