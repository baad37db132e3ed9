import assert from "node:assert/strict";
import { test } from "node:test";
import { GUARD_FACTOR, guardOutput } from "./guard.ts";
import { Quantiles } from "./quantiles.ts";

const rows = (...values: number[][]): Quantiles => Quantiles.of(values);

test("ordered finite values within the bound pass", () => {
  assert.equal(guardOutput(rows([1, 2], [3, 4]), 10), null);
  assert.equal(guardOutput(rows([0], [0]), 0), null);
  assert.equal(guardOutput(rows([GUARD_FACTOR * 10]), 10), null);
});

test("what is not finite, negative, crossing or far too high is named", () => {
  assert.match(guardOutput(rows([Number.NaN]), 10) ?? "", /step 1 is NaN/);
  assert.match(guardOutput(rows([1], [Number.POSITIVE_INFINITY]), 10) ?? "", /Infinity/);
  assert.match(guardOutput(rows([-1]), 10) ?? "", /-1/);
  assert.match(guardOutput(rows([1, 5], [2, 4]), 10) ?? "", /levels cross at step 2/);
  assert.match(guardOutput(rows([GUARD_FACTOR * 10 + 1]), 10) ?? "", /more than 3 times the highest load seen, 10/);
  assert.match(guardOutput(rows([1]), 0) ?? "", /more than/);
});
