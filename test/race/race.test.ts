import assert from "node:assert/strict";
import { test } from "node:test";
import { module } from "../host/fixtures.ts";
import { rangeFromEnv, runSeeds } from "./seeds.ts";

/** Of the default run; a seed takes about a third of a second. */
const DEFAULT_SECONDS = 25;

test("eight workers agree on every epoch, whatever dies, stops or is replaced between any two host calls", async (t) => {
  const { first, seeds, happened } = await runSeeds(module, rangeFromEnv(DEFAULT_SECONDS));
  t.diagnostic(`${seeds} seeds from ${first} on: ${JSON.stringify(happened)}`);
  assert.ok(seeds > 0);
  // A run in which nothing was ever agreed on would prove nothing.
  assert.ok(happened.stageAcks! > seeds && happened.activationAcks! > seeds, JSON.stringify(happened));
});
