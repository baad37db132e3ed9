import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Intended, MIN_REQUESTS, SteerWatch } from "./steer-mismatch.ts";
import type { EnvoyReading } from "./telemetry-window.ts";

const intended = (a: number, sessions = false) =>
  new Map<string, Intended>([
    [
      "payments",
      {
        shares: new Map([
          ["site-a", a],
          ["site-b", 1 - a],
        ]),
        sessions,
      },
    ],
  ]);
const everyNode = () => true;

/** One Envoy whose counters the test moves. */
class Edge {
  readonly url: string;
  readonly #counts = new Map([
    ["site-a", { completed: 0, active: 0, errors5xx: 0 }],
    ["site-b", { completed: 0, active: 0, errors5xx: 0 }],
  ]);
  #atMonotonicMs = 0;

  constructor(url = "http://edge-1") {
    this.url = url;
  }

  add(a: number, b: number, more: { active?: number; errors5xx?: number } = {}): this {
    this.#counts.get("site-a")!.completed += a;
    this.#counts.get("site-b")!.completed += b;
    this.#counts.get("site-b")!.active = more.active ?? 0;
    this.#counts.get("site-b")!.errors5xx += more.errors5xx ?? 0;
    return this;
  }

  restart(): this {
    for (const one of this.#counts.values()) one.completed = 0;
    return this;
  }

  read(): EnvoyReading {
    this.#atMonotonicMs += 500;
    return {
      url: this.url,
      atMonotonicMs: this.#atMonotonicMs,
      uptimeS: null,
      node: this.url,
      clusters: new Map(
        [...this.#counts].map(([name, counts]) => [
          name,
          { healthyHosts: 1, totalHosts: 1, statName: name, stats: { ...counts, ejected: 0, latency: new Map() } },
        ]),
      ),
    };
  }
}

/** A watch that has begun to count under epoch 7. */
function begun(edge: Edge, a: number, sessions = false) {
  const watch = new SteerWatch();
  const round = (epoch = 7) => watch.add([edge.read()], epoch, intended(a, sessions), everyNode);
  round();
  round();
  return { watch, round };
}

test("more than two points off in a thousand requests, twice in a row, is a mismatch that names the target", () => {
  const edge = new Edge();
  const { watch, round } = begun(edge, 0.8);
  edge.add(770, 230);
  round();
  assert.deepEqual(watch.mismatches(), [], "once may be a scrape beside a change");
  edge.add(770, 230);
  round();
  const [found] = watch.mismatches();
  assert.deepEqual(
    { ...found, observed: undefined, intended: undefined },
    {
      service: "payments",
      node: "http://edge-1",
      target: found!.target,
      intended: undefined,
      observed: undefined,
      requests: 1_000,
      sessions: false,
    },
  );
  assert.ok(Math.abs(Math.abs(found!.observed - found!.intended) - 0.03) < 1e-9);
  edge.add(800, 200);
  round();
  assert.deepEqual(watch.mismatches(), [], "and is over when requests go where they should");
});

test("what is inside two points, or of fewer than a thousand requests, is none", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      fc.double({ min: -0.019, max: 0.019, noNaN: true }),
      (a, off) => {
        const edge = new Edge();
        const { watch, round } = begun(edge, a);
        for (let i = 0; i < 3; i++) {
          const first = Math.round((a + off) * 10_000);
          edge.add(first, 10_000 - first);
          round();
        }
        assert.deepEqual(watch.mismatches(), []);
      },
    ),
    { seed: 4, numRuns: 200 },
  );
  const edge = new Edge();
  const { watch, round } = begun(edge, 0.5);
  edge.add(MIN_REQUESTS - 1, 0);
  round();
  assert.deepEqual(watch.mismatches(), []);
});

test("any edit of weights that moves a share by three points or more is found", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.05, max: 0.9, noNaN: true }),
      fc.double({ min: 0.03, max: 0.09, noNaN: true }),
      (a, off) => {
        const edge = new Edge();
        const { watch, round } = begun(edge, a);
        for (let i = 0; i < 2; i++) {
          const first = Math.round((a + off) * 1_000);
          edge.add(first, 1_000 - first);
          round();
        }
        assert.equal(watch.mismatches().length, 1);
      },
    ),
    { seed: 4, numRuns: 200 },
  );
});

test("requests that are still on their way count as sent: a slow target is no mismatch", () => {
  const edge = new Edge();
  const { watch, round } = begun(edge, 0.5);
  edge.add(1_000, 900, { active: 100 });
  round();
  edge.add(1_000, 1_000, { active: 100 });
  round();
  assert.deepEqual(watch.mismatches(), []);
});

test("failures, another epoch, a restart and an Envoy that does not follow are not judged", () => {
  const failing = new Edge();
  const one = begun(failing, 0.5);
  for (let i = 0; i < 4; i++) {
    failing.add(600, 1_400, { errors5xx: 30 });
    one.round();
  }
  assert.deepEqual(one.watch.mismatches(), [], "retries count twice");

  const edge = new Edge();
  const two = begun(edge, 0.5);
  for (let epoch = 7; epoch < 12; epoch++) {
    edge.add(2_000, 0);
    two.round(epoch);
  }
  assert.deepEqual(two.watch.mismatches(), [], "the readings around an activation hold requests of both sets");

  const restarted = new Edge();
  const three = begun(restarted, 0.5);
  restarted.add(2_000, 0);
  three.round();
  for (let i = 0; i < 3; i++) {
    restarted.restart().add(1_500 - i, 0);
    three.round();
  }
  assert.deepEqual(three.watch.mismatches(), [], "it may have served without a set");

  const watch = new SteerWatch();
  const stray = new Edge("http://stray");
  for (let i = 0; i < 5; i++) {
    watch.add([stray.add(2_000, 0).read()], 7, intended(0.5), (node) => node !== "http://stray");
  }
  assert.deepEqual(watch.mismatches(), []);
});

test("chance is left to sessions, and a moved interval is found with them too", () => {
  const edge = new Edge();
  const { watch, round } = begun(edge, 0.5, true);
  for (let i = 0; i < 2; i++) {
    edge.add(560, 440);
    round();
  }
  assert.deepEqual(watch.mismatches(), [], "6 points of 1,000 requests are within four deviations and two points");
  for (let i = 0; i < 2; i++) {
    edge.add(6_000, 4_000);
    round();
  }
  assert.equal(watch.mismatches().length, 1);
});

test("each Envoy is judged apart: one edited route among ten is found and named", () => {
  const edges = Array.from({ length: 10 }, (_, i) => new Edge(`http://edge-${i}`));
  const watch = new SteerWatch();
  const round = () =>
    watch.add(
      edges.map((edge) => edge.read()),
      7,
      intended(0.5),
      everyNode,
    );
  round();
  round();
  for (let i = 0; i < 2; i++) {
    for (const [j, edge] of edges.entries()) edge.add(j === 3 ? 600 : 500, j === 3 ? 400 : 500);
    round();
  }
  assert.deepEqual(
    watch.mismatches().map(({ node }) => node),
    ["http://edge-3"],
  );
});
