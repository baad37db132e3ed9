import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LoadHistory } from "./load-history.ts";

const stepMs = 300_000;

function history(values: number[], startStep = 100): LoadHistory {
  const made = new LoadHistory({ stepMs });
  values.forEach((value, i) => {
    made.append("s", (startStep + i) * stepMs, value);
  });
  return made;
}

test("the tail ends at the newest complete step and is NaN where nothing was observed", () => {
  const made = history([1, 2, 3]);
  assert.deepEqual([...made.tail("s", 103 * stepMs, 3)], [1, 2, 3]);
  assert.deepEqual([...made.tail("s", 103 * stepMs - 1, 3)], [Number.NaN, 1, 2]);
  assert.deepEqual([...made.tail("s", 105 * stepMs + 7, 4)], [2, 3, Number.NaN, Number.NaN]);
  assert.deepEqual([...made.tail("unknown", 103 * stepMs, 2)], [Number.NaN, Number.NaN]);
  assert.deepEqual([...made.tail("s", 50 * stepMs, 2)], [Number.NaN, Number.NaN]);
});

test("the tail agrees with upTo wherever both look", () => {
  const made = history([4, 5, 6, 7]);
  for (let now = 99; now < 108; now++) {
    const { values } = made.upTo("s", now * stepMs);
    const tail = made.tail("s", Math.min(now, 104) * stepMs, 4).filter((value) => !Number.isNaN(value));
    assert.deepEqual([...tail], [...values]);
  }
});

test("the span covers every step held", () => {
  assert.deepEqual(history([1, 2]).span("s"), { startMs: 100 * stepMs, endMs: 102 * stepMs });
  assert.equal(history([1]).span("unknown"), null);
});

test("the oldest steps fall out at the bound", () => {
  const made = new LoadHistory({ stepMs, maxSteps: 3 });
  for (let i = 0; i < 5; i++) made.append("s", i * stepMs, i);
  assert.deepEqual(made.span("s"), { startMs: 2 * stepMs, endMs: 5 * stepMs });
  assert.deepEqual([...made.tail("s", 5 * stepMs, 4)], [Number.NaN, 2, 3, 4]);
});

test("tells whoever keeps a copy where a series stands, what was rewritten, and the newest reading", () => {
  const history = new LoadHistory({ stepMs: 100 });
  assert.equal(history.standing("s"), null);
  assert.ok(Number.isNaN(history.newest("s", 1_000, 5)));
  for (const [i, value] of [1, 2, Number.NaN, 4].entries()) history.append("s", 1_000 + 100 * i, value);
  assert.deepEqual(history.standing("s"), { startMs: 1_000, endMs: 1_400, rewrites: 0 });
  assert.deepEqual([history.newest("s", 1_400, 1), history.newest("s", 1_300, 2)], [4, 2]);
  assert.ok(Number.isNaN(history.newest("s", 1_300, 1)) && Number.isNaN(history.newest("s", 1_700, 3)));
  history.append("s", 1_300, 5);
  assert.deepEqual(
    [history.standing("s")!.rewrites, history.at("s", 1_300)],
    [0, 5],
    "the newest is seen by its value",
  );
  history.append("s", 1_100, 2);
  assert.equal(history.standing("s")!.rewrites, 0, "the same again");
  history.append("s", 1_100, 3);
  assert.equal(history.standing("s")!.rewrites, 1);
});

test("says the same as a list of all steps, whatever is appended, overwritten, left out and dropped", () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.oneof(fc.nat(9), fc.constant(Number.NaN))), {
    maxLength: 120,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), steps, (maxSteps, appended) => {
      const made = new LoadHistory({ stepMs, maxSteps });
      const all = new Map<number, number>();
      let [first, end] = [Number.NaN, 0];
      for (const [step, value] of appended) {
        made.append("s", step * stepMs, value);
        if (Number.isNaN(first) || step - end > maxSteps) {
          all.clear();
          first = step;
          end = step + 1;
        }
        if (step < first) continue;
        all.set(step, value);
        end = Math.max(end, step + 1);
        first = Math.max(first, end - maxSteps);
      }
      const at = (step: number): number => (step >= first && step < end ? (all.get(step) ?? Number.NaN) : Number.NaN);
      const wanted = Array.from({ length: 70 }, (_, step) => at(step));
      assert.deepEqual([...made.tail("s", 70 * stepMs, 70)], wanted);
      assert.deepEqual(
        wanted.map((_, step) => made.at("s", step * stepMs)),
        wanted,
      );
      if (appended.length === 0) return;
      assert.deepEqual(made.span("s"), { startMs: first * stepMs, endMs: end * stepMs });
      assert.deepEqual(made.upTo("s", 70 * stepMs).values, wanted.slice(first, end));
    }),
  );
});
