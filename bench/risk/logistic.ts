/**
 * Logistic regression with an L2 penalty, by Newton's method (iteratively reweighted least squares). Columns are standardised
 * on the rows given; a missing value is the column's mean, with a column of its own that says so.
 */
export class LogisticRegression {
  readonly #mean: number[];
  readonly #sd: number[];
  readonly #gaps: boolean[];
  #beta: number[] = [];

  private constructor(rows: readonly Float32Array[]) {
    const width = rows[0]!.length;
    const columns = Array.from({ length: width }, (_, k) => rows.map((row) => row[k]!).filter((v) => !Number.isNaN(v)));
    this.#mean = columns.map((values) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length));
    this.#sd = columns.map((values, k) => {
      const variance = values.reduce((sum, v) => sum + (v - this.#mean[k]!) ** 2, 0) / Math.max(1, values.length);
      return Math.sqrt(variance) || 1;
    });
    this.#gaps = columns.map((values) => values.length < rows.length);
  }

  static fit(
    rows: readonly Float32Array[],
    outcome: readonly boolean[],
    weight: readonly number[],
    penalty = 1,
  ): LogisticRegression {
    const model = new LogisticRegression(rows);
    const inputs = rows.map((row) => model.#input(row));
    const width = inputs[0]!.length;
    model.#beta = Array.from({ length: width }, () => 0);
    for (let turn = 0; turn < 25; turn++) {
      const gradient = Array.from({ length: width }, (_, k) => (k === 0 ? 0 : penalty * model.#beta[k]!));
      const hessian = Array.from({ length: width }, (_, k) =>
        Float64Array.from({ length: width }, (_, j) => (k === j && k > 0 ? penalty : k === j ? 1e-9 : 0)),
      );
      inputs.forEach((x, i) => {
        const p = model.#probability(x);
        const error = weight[i]! * (p - Number(outcome[i]));
        const curve = weight[i]! * Math.max(1e-9, p * (1 - p));
        for (let k = 0; k < width; k++) {
          if (x[k] === 0) continue;
          gradient[k]! += error * x[k]!;
          for (let j = 0; j <= k; j++) hessian[k]![j]! += curve * x[k]! * x[j]!;
        }
      });
      for (let k = 0; k < width; k++) for (let j = 0; j < k; j++) hessian[j]![k] = hessian[k]![j]!;
      const step = solve(hessian, gradient);
      model.#beta = model.#beta.map((b, k) => b - step[k]!);
      if (Math.max(...step.map(Math.abs)) < 1e-8) break;
    }
    return model;
  }

  probability(row: Float32Array): number {
    return this.#probability(this.#input(row));
  }

  #probability(x: readonly number[]): number {
    let sum = 0;
    for (let k = 0; k < x.length; k++) sum += x[k]! * this.#beta[k]!;
    return 1 / (1 + Math.exp(-sum));
  }

  #input(row: Float32Array): number[] {
    const x = [1];
    row.forEach((value, k) => {
      const missing = Number.isNaN(value);
      x.push(missing ? 0 : (value - this.#mean[k]!) / this.#sd[k]!);
      if (this.#gaps[k]) x.push(Number(missing));
    });
    return x;
  }
}

/** Gaussian elimination with partial pivoting. */
function solve(matrix: readonly Float64Array[], right: readonly number[]): number[] {
  const n = right.length;
  const a = matrix.map((row, i) => [...row, right[i]!]);
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r]![c]!) > Math.abs(a[pivot]![c]!)) pivot = r;
    [a[c], a[pivot]] = [a[pivot]!, a[c]!];
    const top = a[c]!;
    if (Math.abs(top[c]!) < 1e-12) continue;
    for (let r = c + 1; r < n; r++) {
      const factor = a[r]![c]! / top[c]!;
      if (factor !== 0) for (let k = c; k <= n; k++) a[r]![k]! -= factor * top[k]!;
    }
  }
  const x = Array.from({ length: n }, () => 0);
  for (let r = n - 1; r >= 0; r--) {
    let rest = a[r]![n]!;
    for (let k = r + 1; k < n; k++) rest -= a[r]![k]! * x[k]!;
    x[r] = Math.abs(a[r]![r]!) < 1e-12 ? 0 : rest / a[r]![r]!;
  }
  return x;
}
