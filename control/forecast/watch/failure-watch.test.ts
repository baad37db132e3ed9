import assert from "node:assert/strict";
import { test } from "node:test";
import type { FallbackReason } from "../reasons.ts";
import { FailureWatch } from "./failure-watch.ts";

const answer = (reasons: readonly (FallbackReason | null)[]) => ({
  index: { names: reasons.map((_, i) => `s${i}`) },
  reasonAt: (place: number) => reasons[place]!,
});
const refused: FallbackReason = { code: "OUTPUT_GUARD", text: "a value at step 1 is NaN" };
const short: FallbackReason = { code: "HISTORY_TOO_SHORT", text: "the model needs 300 steps" };

test("a model that fails for most services twice in a row is told, and no more once it answers", () => {
  const watch = new FailureWatch();
  watch.observe(answer([refused, refused, null]));
  assert.equal(watch.text, null);
  watch.observe(answer([refused, refused, null]));
  assert.equal(
    watch.text,
    "the model fails to answer for 2 of 3 services looked at (OUTPUT_GUARD: a value at step 1 is NaN)",
  );
  watch.observe(answer([null, refused]));
  assert.equal(watch.text, null);
});

test("services that lack a history are no fault of the model, and a large fleet is sampled", () => {
  const watch = new FailureWatch();
  for (let i = 0; i < 3; i++) watch.observe(answer([short, short, refused]));
  assert.equal(watch.text, null);
  for (let i = 0; i < 2; i++) watch.observe(answer(Array(10_000).fill(refused)));
  assert.match(watch.text!, /^the model fails to answer for 64 of 64 services looked at/);
});
