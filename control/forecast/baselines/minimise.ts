/**
 * Least value of f on [low, high]: a grid, then golden-section search around its best point (Kiefer 1953). The grid keeps it from a local
 * minimum that is wider than one cell; f is called `cells + 1 + steps` times.
 */
export function minimise(f: (x: number) => number, low: number, high: number, cells = 16, steps = 24): number {
  const width = (high - low) / cells;
  let best = low;
  let least = f(low);
  for (let i = 1; i <= cells; i++) {
    const x = low + i * width;
    const value = f(x);
    if (value < least) {
      best = x;
      least = value;
    }
  }
  const ratio = (Math.sqrt(5) - 1) / 2;
  let a = Math.max(low, best - width);
  let b = Math.min(high, best + width);
  let c = b - ratio * (b - a);
  let d = a + ratio * (b - a);
  let atC = f(c);
  let atD = f(d);
  for (let i = 2; i < steps; i++) {
    if (atC < atD) {
      b = d;
      d = c;
      atD = atC;
      c = b - ratio * (b - a);
      atC = f(c);
    } else {
      a = c;
      c = d;
      atC = atD;
      d = a + ratio * (b - a);
      atD = f(d);
    }
  }
  const x = atC < atD ? c : d;
  return Math.min(atC, atD) < least ? x : best;
}
