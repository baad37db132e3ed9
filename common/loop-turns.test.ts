import assert from "node:assert/strict";
import { test } from "node:test";
import { LoopTurns } from "./loop-turns.ts";

test("when a turn is over, what waited for the event loop comes before the next one", async () => {
  assert.equal(new LoopTurns(Number.POSITIVE_INFINITY).isOver, false);
  const turns = new LoopTurns(0);
  while (!turns.isOver);
  let waited = true;
  setImmediate(() => {
    waited = false;
  });
  await turns.next();
  assert.equal(waited, false);
});
