import assert from "node:assert/strict";
import { test } from "node:test";
import type { TargetWindow } from "../control/estate/estate.ts";
import { outagesOf, World } from "./world.ts";

function window(kind: TargetWindow["kind"], startMs: number, endMs: number, remaining: number): TargetWindow {
  const provenance = { file: "f", table: "t", index: 0, line: 1, sysId: "s" };
  return { ticket: "T", kind, startMs, endMs, ciId: "c", ciName: "c", path: ["c"], remaining, provenance };
}

test("a target is out from the start of a window until just before its end, and each change is told once", () => {
  const world = new World(new Map([["b", [{ startMs: 10, endMs: 20 }]]]));
  assert.deepEqual(world.tick(9), { stop: [], start: [] });
  assert.deepEqual(world.tick(10), { stop: ["b"], start: [] });
  assert.deepEqual(world.tick(19.9), { stop: [], start: [] });
  assert.ok(world.isDown("b"));
  assert.deepEqual(world.tick(20), { stop: [], start: ["b"] });
  assert.deepEqual(world.tick(21), { stop: [], start: [] });
});

test("overlapping windows keep a target out until the last has ended", () => {
  const world = new World(
    new Map([
      [
        "b",
        [
          { startMs: 10, endMs: 20 },
          { startMs: 15, endMs: 30 },
        ],
      ],
    ]),
  );
  world.tick(12);
  assert.deepEqual(world.tick(25), { stop: [], start: [] });
  assert.deepEqual(world.tick(30), { stop: [], start: ["b"] });
});

test("only work that leaves nothing takes a target out: a freeze or a partial loss stops no process", () => {
  const windows = [window("change", 0, 10, 0), window("freeze", 0, 10, 0), window("change", 0, 10, 0.5)];
  assert.deepEqual(
    outagesOf(windows).map(({ startMs, endMs }) => [startMs, endMs]),
    [[0, 10]],
  );
});
