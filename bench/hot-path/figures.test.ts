import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuFigures, peerOrder } from "./cpu.ts";
import { p99Ratio } from "./latency.ts";
import { allRows, peerConfiguration } from "./rows.ts";

const rows = allRows({ ballast: "/module.wasm", goSdk: undefined });
const named = (...names: string[]) => rows.filter((row) => names.includes(row.name));

test("what a row adds is taken within each round, so that drift of the machine falls out", () => {
  const samples = new Map([
    ["none", [10, 20, 40]],
    ["lua", [18, 28, 48]],
    ["native", [11, 21, 41]],
  ]);
  const figures = cpuFigures(named("none", "lua", "native"), samples, "none");
  assert.deepEqual(
    figures.map(({ row, addedUs }) => [row.name, addedUs]),
    [
      ["none", 0],
      ["native", 1],
      ["lua", 8],
    ],
  );
  assert.deepEqual(figures[2]?.addedInterval, { low: 8, high: 8 });
});

test("the order of the peers counts the rounds of one process and only rows of the whole job", () => {
  const samples = new Map([
    ["none", [10, 10, 10, 10]],
    ["lua", [19, 19, 17, 17]],
    ["ballast", [18, 18, 18, 18]],
    ["ballast_fixed", [12, 12, 12, 12]],
  ]);
  const all = named("none", "lua", "ballast", "ballast_fixed");
  assert.deepEqual(peerOrder(all, samples, "none", { from: 0, count: 2 }), ["ballast", "lua"]);
  assert.deepEqual(peerOrder(all, samples, "none", { from: 2, count: 2 }), ["lua", "ballast"]);
});

test("the ratio of p99 is the median over rounds of the ratio within a round", () => {
  const samples = {
    p50: new Map(),
    p99: new Map([
      ["native", [100, 1000, 200]],
      ["lua", [110, 1500, 220]],
    ]),
  };
  const { value, interval } = p99Ratio(samples, "lua", "native");
  assert.ok(Math.abs(value - 1.1) < 1e-9);
  assert.ok(interval.low >= 1.0999 && interval.high <= 1.5);
});

test("row names are unique, and the rows of one job pick from the same table", () => {
  assert.equal(new Set(rows.map((row) => row.name)).size, rows.length);
  for (const row of rows.filter((candidate) => candidate.needs === "ballast")) assert.ok(row.job);
  assert.match(
    peerConfiguration({ service: "fixed", session: false }),
    /^service fixed payments\nsession off\ntable quotes /,
  );
});

test("every row has a listener for each of its modes, without a mark left in the Lua source", () => {
  for (const row of rows)
    for (const mode of row.modes) assert.doesNotMatch(JSON.stringify(row.listener(1, mode)), /@[A-Z]+@/);
});
