import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decision, decide, type Observation, type RolloutPolicy, type Situation } from "./decide.ts";
import type { Flight, Phase } from "./flight.ts";
import type { Metrics } from "./metrics.ts";

const policy: RolloutPolicy = {
  cohorts: [0, 250_000, 1_000_000],
  slotStepPpm: null,
  bakeMs: 300_000,
  telemetryGapMs: 60_000,
  maxFailedPpm: 100_000,
  maxRollbacks: 3,
};
const share = { weightPpm: [1_000_000], stickyPpm: [1_000_000] };
const service = (name: string): Flight["services"][number] => ({
  name,
  by: "nodes",
  formerTable: "00000000000000aa",
  former: { mode: "steer", why: "", targets: [] },
  goal: { mode: "steer", why: "", targets: [] },
  path: [share],
});
const flight = (change: Partial<Flight> = {}): Flight => ({
  id: 5,
  kind: "change",
  services: [service("quotes")],
  cohorts: policy.cohorts,
  steps: 3,
  step: 0,
  previous: null,
  author: { kind: "person", name: "alice" },
  why: "",
  trigger: "operator",
  approval: { kind: "rule", by: { kind: "rule", name: "" }, atMs: 0 },
  inputs: "",
  epoch: 5,
  upTo: "7fffffffffffffff",
  phase: "baking",
  sinceMs: 0,
  bakeUntilMs: 300_000,
  before: {},
  asked: 10,
  failed: 0,
  ...change,
});
const calm: Metrics = { requests: 1000, failed: 0, timed: 0, slow: 0, quantileMs: null };
const bad: Metrics = { ...calm, failed: 200 };
const watched = (after: Metrics, nodes: Observation["nodes"] = { reporting: 4, silent: [] }): Observation => ({
  services: new Map([["quotes", { after, before: calm, untouched: null }]]),
  nodes,
});
const situation = (change: Partial<Situation> = {}): Situation => ({
  nowMs: 1_000,
  policy,
  objectives: new Map([["quotes", { errorsPpm: 10_000, latencyMs: null, quantile: 0.99 }]]),
  observation: watched(calm),
  nextStep: 1,
  restraint: null,
  ...change,
});
const kind = (decision: Decision) => decision.kind;

test("a step bakes for its whole time, passes, and only then is followed by the next", () => {
  assert.equal(kind(decide(flight(), situation({ nowMs: 299_999 }))), "wait");
  assert.equal(kind(decide(flight(), situation({ nowMs: 300_000 }))), "pass");
  assert.deepEqual(decide(flight({ phase: "passed" }), situation()), { kind: "advance", step: 1 });
});

test("the last step of a unit that all nodes have ends it; a cohort that is all there is still goes on to all", () => {
  const last = situation({ nextStep: null });
  assert.equal(kind(decide(flight({ phase: "passed", upTo: null, step: 2 }), last)), "finish");
  assert.deepEqual(decide(flight({ phase: "passed" }), last), { kind: "advance", step: 2 });
});

test("a breach takes a change back at once: in the middle of a bake, and after it while the next step waits", () => {
  for (const phase of ["baking", "passed"] satisfies Phase[]) {
    const decision = decide(flight({ phase }), situation({ observation: watched(bad), restraint: "frozen" }));
    assert.equal(kind(decision), "roll_back");
    assert.match((decision as { reason: string }).reason, /quotes: 200 of 1000 requests/);
  }
});

test("what protects is never taken back by itself: a breach is an alarm, and does not pass for baked", () => {
  const at = (nowMs: number) =>
    decide(flight({ kind: "protective" }), situation({ nowMs, observation: watched(bad) })) as {
      kind: string;
      alarm: string;
    };
  assert.match(at(1_000).alarm, /quotes/);
  assert.deepEqual([at(1_000).kind, at(400_000).kind], ["wait", "again"]);
});

test("nothing is decided of a step that the fleet has not answered", () => {
  assert.equal(
    kind(decide(flight({ phase: "activating" }), situation({ observation: watched(bad), nowMs: 1e9 }))),
    "wait",
  );
});

test("a freeze or a hold keeps the next step back and takes nothing away", () => {
  assert.deepEqual(decide(flight({ phase: "passed" }), situation({ restraint: "quotes is frozen by year-end" })), {
    kind: "wait",
    text: "quotes is frozen by year-end",
    alarm: null,
  });
});

test("telemetry that is missing takes a change back: from all nodes of it, or from more of those that reported than the policy bears", () => {
  const heard = (nodes: Observation["nodes"], nowMs: number) =>
    kind(decide(flight(), situation({ observation: watched(calm, nodes), nowMs })));
  assert.equal(heard({ reporting: 0, silent: [] }, 60_000), "wait", "not longer than the gap yet");
  assert.equal(heard({ reporting: 0, silent: [] }, 60_001), "roll_back");
  assert.equal(heard({ reporting: 3, silent: ["edge-1"] }, 2_000), "roll_back");
  assert.equal(heard({ reporting: 29, silent: ["edge-1"] }, 2_000), "wait", "one of thirty is within 10 %");
  assert.equal(heard(null, 60_001), "wait", "where no telemetry is configured none is missing");
});

test("nodes that fail to activate take a change back when they are more than the policy bears", () => {
  assert.equal(kind(decide(flight({ failed: 1 }), situation())), "wait");
  assert.equal(kind(decide(flight({ failed: 2 }), situation())), "roll_back");
  assert.equal(kind(decide(flight({ failed: 2, kind: "protective" }), situation())), "wait");
});

test("for every phase and kind the decision is one of those that the phase allows", () => {
  const allowed: Record<Phase, string[]> = {
    activating: ["wait"],
    baking: ["wait", "again", "pass", "roll_back"],
    passed: ["wait", "advance", "finish", "roll_back"],
  };
  for (const phase of ["activating", "baking", "passed"] satisfies Phase[]) {
    for (const sort of ["change", "protective"] satisfies Flight["kind"][]) {
      for (const after of [calm, bad]) {
        for (const nowMs of [0, 1e9]) {
          for (const nextStep of [1, null]) {
            const got = kind(
              decide(flight({ phase, kind: sort }), situation({ observation: watched(after), nowMs, nextStep })),
            );
            assert.ok(allowed[phase].includes(got), `${phase} ${sort} ${got}`);
            if (sort === "protective") assert.notEqual(got, "roll_back");
          }
        }
      }
    }
  }
});
