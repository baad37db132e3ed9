import assert from "node:assert/strict";
import { test } from "node:test";
import { frameOf, type ScreenState } from "./screen.ts";

const target = { base: 0.6, planned: 1, actual: 0.998, requests: 140, errors: 0, p50_ms: 24, p99_ms: 41 };
const state: ScreenState = {
  second: 40,
  calendarMs: Date.parse("2026-03-02T09:25:00Z"),
  epoch: 12,
  whys: [
    "payments: site-b −40.0 pts: CHG0031028 on core-db-b 09:00–11:30 (pay-app-b → core-db-b)",
    "ledger: site-b −50.0 pts",
  ],
  windowSeconds: 10,
  services: { payments: { targets: { "payments-site-a": target } } } as unknown as ScreenState["services"],
  totals: { requests: 8206, errors: 0, sessionsMoved: 410 },
  down: new Set(["payments-site-b"]),
};

test("a terminal that tells no width loses nothing", () => {
  for (const columns of [0, undefined]) {
    const frame = frameOf(state, columns);
    assert.match(frame[0]!, /epoch 12$/);
    assert.ok(frame.includes("payments"));
    assert.ok(frame.includes(state.whys[0]!));
  }
});

test("no line is wider than the terminal, and a long reason goes on below", () => {
  const frame = frameOf(state, 60);
  assert.ok(frame.every((line) => line.length <= 60));
  const joined = frame.map((line) => line.trim()).join(" ");
  assert.match(joined, /CHG0031028 on core-db-b 09:00–11:30 \(pay-app-b → core-db-b\)/);
});

test("a reason that does not fit into three lines ends in an ellipsis", () => {
  const frame = frameOf({ ...state, whys: ["word ".repeat(100)] }, 40);
  assert.match(frame.at(-1)!, /…$/);
  assert.ok(frame.every((line) => line.length <= 40));
});
