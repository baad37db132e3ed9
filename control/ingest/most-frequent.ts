/** The value that comes most often, the first of several, and how often; null where there is none. */
export function mostFrequent(values: Iterable<number>): { value: number; count: number } | null {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let most: { value: number; count: number } | null = null;
  for (const [value, count] of counts) if (count > (most?.count ?? 0)) most = { value, count };
  return most;
}
