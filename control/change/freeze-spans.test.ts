import assert from "node:assert/strict";
import { test } from "node:test";
import type { FreezeWindow } from "./freeze.ts";
import { freezeSpans } from "./freeze-spans.ts";

const DAY = 86_400_000;
const daily: FreezeWindow = {
  id: "policy:night",
  name: "night",
  source: "policy",
  effect: "deny",
  services: ["pay"],
  schedule: {
    zone: "UTC",
    start: "2024-01-01T22:00",
    end: "2024-01-02T04:00",
    repeat: { unit: "daily", every: 1, weekdays: [], monthly: "day", untilDate: null },
  },
  reason: "night",
};

test("spans of a freeze are each of its occurrences once, over any length of time", () => {
  const from = Date.UTC(2025, 0, 1);
  const spans = freezeSpans([daily, { ...daily, effect: "allow" }], from, from + 800 * DAY);
  // The one that began the evening before, and one for each day.
  assert.equal(spans.length, 801);
  assert.deepEqual(spans[0], { startMs: from - 2 * 3_600_000, endMs: from + 4 * 3_600_000, services: ["pay"] });
  for (const [i, { startMs }] of spans.entries()) assert.equal(startMs, from + i * DAY - 2 * 3_600_000);
});
