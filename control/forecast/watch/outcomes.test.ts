import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LoadHistory } from "../../ingest/load-history.ts";
import { jensenShannon } from "./divergence.ts";
import { OutcomeBook, summarise } from "./outcomes.ts";

const STEP = 300_000;
const LEVELS = [0.1, 0.5, 0.9];

function history(values: readonly number[]): LoadHistory {
  const load = new LoadHistory({ stepMs: STEP });
  for (const [i, value] of values.entries()) if (Number.isFinite(value)) load.append("s", i * STEP, value);
  return load;
}

const flat = (value: number, steps: number): Float64Array[] =>
  LEVELS.map((level) => new Float64Array(steps).fill(value * (0.5 + level)));

function noted(atMs: number, said: Record<string, Float64Array[]>) {
  const levels = Object.fromEntries(Object.keys(said).map((name) => [name, LEVELS]));
  return { atMs, stepMs: STEP, horizonSteps: 3, levels, services: [{ service: "s", scale: 2, said }] };
}

test("a window is scored when its last step is complete, and not before", () => {
  const book = new OutcomeBook();
  book.note(noted(2 * STEP, { a: flat(10, 3) }));
  const load = history([0, 0, 10, 10, 10]);
  assert.deepEqual(book.due(load, 5 * STEP - 1), []);
  const [window] = book.due(load, 5 * STEP);
  assert.equal(window?.steps, 3);
  assert.equal(window.losses.a!.absolute, 0);
  assert.deepEqual(window.losses.a!.covered, [0, 3, 3]);
  assert.deepEqual(book.due(load, 9 * STEP), []);
});

test("all forecasters are scored on the same steps, and MASE is in units of the service's own scale", () => {
  const book = new OutcomeBook();
  book.note(noted(2 * STEP, { good: flat(10, 3), bad: flat(14, 3) }));
  const windows = book.due(history([0, 0, 10, Number.NaN, 10, 0]), 5 * STEP);
  assert.equal(windows[0]?.steps, 2);
  assert.equal(summarise(windows, "good", LEVELS).mase, 0);
  assert.equal(summarise(windows, "bad", LEVELS).mase, 2);
  assert.ok(summarise(windows, "good", LEVELS).wql < summarise(windows, "bad", LEVELS).wql);
});

test("a service for which one of them said nothing is scored for none", () => {
  const book = new OutcomeBook();
  const window = noted(2 * STEP, { a: flat(10, 3), b: flat(10, 3) });
  delete (window.services[0]!.said as Record<string, unknown>).b;
  book.note(window);
  assert.deepEqual(book.due(history([0, 0, 10, 10, 10]), 5 * STEP), []);
});

test("windows follow each other without overlap, and few of them wait", () => {
  const book = new OutcomeBook();
  for (let step = 0; step < 100; step++) book.note(noted(step * STEP, { a: flat(10, 3) }));
  const windows = book.due(history(Array.from({ length: 200 }, () => 10)), 200 * STEP);
  assert.deepEqual(
    windows.map(({ atMs }) => atMs / STEP),
    [90, 93, 96, 99],
  );
});

test("the divergence is 0 for equal shares, 1 for bins that share nothing, symmetric, and within", () => {
  assert.equal(jensenShannon([1, 2, 3], [10, 20, 30]), 0);
  assert.equal(jensenShannon([5, 0], [0, 7]), 1);
  assert.ok(Number.isNaN(jensenShannon([0, 0], [1, 2])));
  const counts = fc.array(fc.nat(1_000), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(counts, counts, (a, b) => {
      fc.pre(a.some((n) => n > 0) && b.some((n) => n > 0));
      const ab = jensenShannon(a, b);
      assert.ok(ab >= 0 && ab <= 1 + 1e-12);
      assert.ok(Math.abs(ab - jensenShannon(b, a)) < 1e-12);
    }),
  );
});
