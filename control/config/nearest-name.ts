/** Damerau-Levenshtein distance (optimal string alignment), case ignored; names longer than 128 characters are cut. */
export function nameDistance(a: string, b: string): number {
  const s = a.slice(0, 128).toLowerCase();
  const t = b.slice(0, 128).toLowerCase();
  let beforeLast: number[] = [];
  let last = Array.from({ length: t.length + 1 }, (_, j) => j);
  for (let i = 1; i <= s.length; i++) {
    const row = [i];
    for (let j = 1; j <= t.length; j++) {
      const substitute = last[j - 1]! + (s[i - 1] === t[j - 1] ? 0 : 1);
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, substitute);
      if (i > 1 && j > 1 && s[i - 1] === t[j - 2] && s[i - 2] === t[j - 1])
        best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[t.length]!;
}

/**
 * Up to `count` of `known`, nearest first, that a person could have meant by `name`: at most half the letters differ.
 * Ties are in alphabetical order, so that a message never depends on the order of a file.
 */
export function nearestNames(name: string, known: Iterable<string>, count = 1): string[] {
  const limit = Math.max(1, Math.floor(name.length / 2));
  const scored: { name: string; distance: number }[] = [];
  for (const candidate of new Set(known)) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const distance = nameDistance(name, candidate);
    if (distance <= limit) scored.push({ name: candidate, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return scored.slice(0, count).map((s) => s.name);
}
