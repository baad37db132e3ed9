import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parseClusters, parseStats } from "./envoy-admin-parse.ts";
import { quantile } from "./latency-quantile.ts";
import { serviceDemand, serviceSeconds } from "./service-demand.ts";
import { type EnvoyReading, TelemetryWindow } from "./telemetry-window.ts";

/** Captured from Envoy 1.40.0 and trimmed: 40 + 2 requests to site-a, then 20 + 1; site-b refuses every connection. */
function captured(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8"));
}

function reading(url: string, atMonotonicMs: number, stats: unknown): EnvoyReading {
  const clusters = parseClusters(captured("clusters"))!;
  const parsed = parseStats(
    stats,
    [...clusters.values()].map((c) => c.statName),
  )!;
  return {
    url,
    atMonotonicMs,
    uptimeS: parsed.uptimeS,
    node: null,
    clusters: new Map([...clusters].map(([name, c]) => [name, { ...c, stats: parsed.clusters.get(c.statName)! }])),
  };
}

const first = (url = "a", at = 0) => reading(url, at, captured("stats-first"));
const second = (url = "a", at = 10_000) => reading(url, at, captured("stats-second"));

/** Statistics of one cluster as Envoy writes them. */
function stats(uptime: number, completed: number, errors = 0, bins: [number, number][] = []): unknown {
  return {
    stats: [
      { name: "server.uptime", value: uptime },
      { name: "cluster.payments-site-a.upstream_rq_completed", value: completed },
      { name: "cluster.payments-site-a.upstream_rq_5xx", value: errors },
      {
        histograms: {
          details: [
            {
              name: "cluster.payments-site-a.upstream_rq_time",
              totals: bins.map(([low, count]) => ({ lower_bound: low, width: 1, count })),
            },
          ],
        },
      },
    ],
  };
}

test("two readings of a real Envoy give rates, errors, latency and health of every cluster", () => {
  const window = new TelemetryWindow();
  window.add([first()]);
  window.add([second()]);
  const snapshot = window.snapshot(10_000);
  assert.equal(snapshot.atMonotonicMs, 10_000);
  const a = snapshot.targets.get("payments-site-a")!;
  assert.equal(a.rps, 2.1);
  assert.equal(a.errorRatio, 1 / 21);
  assert.deepEqual([a.healthyHosts, a.totalHosts, a.activeRequests], [1, 1, 0]);
  // The interval's 21 requests: 6 at 4 ms, then from 44 ms on; what came before the first reading does not count.
  assert.ok(a.p50Ms! >= 44 && a.p50Ms! < 46, `${a.p50Ms}`);
  assert.ok(a.p99Ms! >= 49 && a.p99Ms! <= 51, `${a.p99Ms}`);
  const b = snapshot.targets.get("payments-site-b")!;
  assert.deepEqual([b.healthyHosts, b.totalHosts, b.rps, b.errorRatio, b.p50Ms], [0, 1, 0, null, null]);
});

test("requests without a connection are errors of their target", () => {
  const window = new TelemetryWindow();
  window.add([reading("a", 0, { stats: [] })]);
  window.add([first("a", 1_000)]);
  const b = window.snapshot(1_000).targets.get("payments-site-b")!;
  assert.deepEqual([b.rps, b.errorRatio], [5, 1]);
});

test("a cluster whose name Envoy changes in its statistics is found all the same", () => {
  const clusters = parseClusters(captured("clusters"))!;
  assert.equal(clusters.get("quotes.odd:name")!.statName, "quotes.odd_name");
  assert.deepEqual(
    parseStats(captured("stats-first"), ["quotes.odd_name"])!.clusters.get("quotes.odd_name")!.active,
    0,
  );
});

test("one reading tells health but no rates", () => {
  const window = new TelemetryWindow();
  window.add([first()]);
  const a = window.snapshot(0).targets.get("payments-site-a")!;
  assert.deepEqual([a.healthyHosts, a.rps, a.errorRatio, a.p99Ms], [1, null, null, null]);
});

test("before any reading there are no targets and the snapshot is infinitely old", () => {
  const window = new TelemetryWindow();
  window.add([{ url: "a", atMonotonicMs: 5, reason: "fetch failed (ECONNREFUSED)" }]);
  assert.deepEqual(window.snapshot(5), {
    atMonotonicMs: Number.NEGATIVE_INFINITY,
    targets: new Map(),
    unreachable: [{ url: "a", reason: "fetch failed (ECONNREFUSED)" }],
  });
});

test("after an Envoy restarted its counters count from zero", () => {
  const window = new TelemetryWindow();
  window.add([reading("a", 0, stats(100, 5_000, 7))]);
  window.add([reading("a", 10_000, stats(3, 40, 4))]);
  const fallen = window.snapshot(10_000).targets.get("payments-site-a")!;
  assert.deepEqual([fallen.rps, fallen.errorRatio], [4, 0.1]);
  // The busy one passed its old count, but its uptime tells.
  window.add([reading("a", 20_000, stats(2, 60))]);
  assert.equal(window.snapshot(20_000).targets.get("payments-site-a")!.rps, 6);
});

test("several Envoys are summed, each with its own interval, and their latencies are merged", () => {
  const window = new TelemetryWindow();
  window.add([reading("a", 0, stats(1, 0)), reading("b", 500, stats(1, 0))]);
  window.add([reading("a", 1_000, stats(2, 98, 0, [[10, 98]])), reading("b", 2_500, stats(3, 2, 1, [[900, 2]]))]);
  const a = window.snapshot(2_500).targets.get("payments-site-a")!;
  assert.equal(a.rps, 98 + 1);
  assert.equal(a.errorRatio, 0.01);
  assert.equal(a.healthyHosts, 2);
  assert.ok(a.p50Ms! < 11);
  assert.ok(a.p99Ms! >= 900);
});

test("latencies stand until Envoy's next stats flush while requests go on, and end with them", () => {
  const window = new TelemetryWindow();
  const p99 = () => window.snapshot(9_000).targets.get("payments-site-a")!.p99Ms;
  window.add([reading("a", 0, stats(1, 0))]);
  window.add([reading("a", 1_000, stats(2, 10, 0, [[10, 10]]))]);
  const flushed = p99();
  assert.ok(flushed! >= 10 && flushed! <= 11);
  window.add([reading("a", 2_000, stats(3, 20, 0, [[10, 10]]))]);
  assert.equal(p99(), flushed);
  window.add([reading("a", 3_000, stats(4, 20, 0, [[10, 10]]))]);
  assert.equal(p99(), null);
});

test("an Envoy that stops answering keeps its last rate for a while, is reported, and then no longer counts", () => {
  const window = new TelemetryWindow({ holdMs: 5_000 });
  const lost = { url: "b", atMonotonicMs: 0, reason: "no complete answer within 2000 ms" };
  window.add([reading("a", 0, stats(1, 0)), reading("b", 0, stats(1, 0))]);
  window.add([reading("a", 1_000, stats(2, 10)), reading("b", 1_000, stats(2, 30))]);
  window.add([reading("a", 4_000, stats(5, 40)), { ...lost, atMonotonicMs: 4_000 }]);
  const held = window.snapshot(4_000);
  assert.equal(held.targets.get("payments-site-a")!.rps, 40);
  assert.deepEqual(held.unreachable, [{ url: "b", reason: lost.reason }]);
  window.add([reading("a", 7_000, stats(8, 70)), { ...lost, atMonotonicMs: 7_000 }]);
  assert.equal(window.snapshot(7_000).targets.get("payments-site-a")!.rps, 10);
});

test("when nobody answers the last state stays and its age shows", () => {
  const window = new TelemetryWindow({ holdMs: 5_000 });
  window.add([reading("a", 0, stats(1, 0))]);
  window.add([reading("a", 1_000, stats(2, 10))]);
  window.add([{ url: "a", atMonotonicMs: 60_000, reason: "gone" }]);
  const snapshot = window.snapshot(60_000);
  assert.equal(snapshot.atMonotonicMs, 1_000);
  assert.equal(snapshot.targets.get("payments-site-a")!.rps, 10);
});

test("a reading that is not newer than the last one is ignored", () => {
  const window = new TelemetryWindow();
  window.add([reading("a", 0, stats(1, 0))]);
  window.add([reading("a", 1_000, stats(2, 10))]);
  window.add([reading("a", 1_000, stats(2, 99))]);
  assert.equal(window.snapshot(1_000).targets.get("payments-site-a")!.rps, 10);
});

const late = (url: string, fromMs: number, toMs: number, body: unknown): EnvoyReading => ({
  ...reading(url, (fromMs + toMs) / 2, body),
  spanMs: toMs - fromMs,
});

test("an answer that comes 800 ms late, and the short interval after it, leave a constant load constant", () => {
  const window = new TelemetryWindow({ minIntervalMs: 500 });
  const completed = (atMs: number): number => Math.round(0.145 * atMs);
  const seen: [number | null, number | undefined][] = [];
  // Envoy reads its counters at once; at 2,000 this process stalls before it takes the answer.
  for (const [fromMs, toMs] of [
    [0, 4],
    [1_000, 1_004],
    [2_000, 2_800],
    [3_000, 3_004],
    [3_204, 3_208],
    [4_000, 4_004],
  ] as const) {
    window.add([late("a", fromMs, toMs, stats(fromMs / 1_000, completed(fromMs)))]);
    const { rps, intervalS } = window.snapshot(toMs).targets.get("payments-site-a")!;
    seen.push([rps, intervalS]);
  }
  assert.deepEqual(seen, [
    [null, 0],
    [145, 1],
    [145, 0],
    [145, 2],
    [145, 0],
    [145, 1],
  ]);
});

test("whenever Envoy reads its counters within a request, a constant load is told to within a ninth", () => {
  const round = fc.record({
    pauseMs: fc.nat(1_500),
    spanMs: fc.nat(2_000),
    readAt: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(round, { minLength: 2, maxLength: 30 }), (rounds) => {
      const window = new TelemetryWindow({ minIntervalMs: 500 });
      let nowMs = 0;
      for (const { pauseMs, spanMs, readAt } of rounds) {
        nowMs += pauseMs;
        window.add([late("a", nowMs, nowMs + spanMs, stats(nowMs, 1_000_000 + 200 * (nowMs + readAt * spanMs)))]);
        nowMs += spanMs;
        const { rps } = window.snapshot(nowMs).targets.get("payments-site-a")!;
        assert.ok(rps === null || (rps >= 200_000 / 1.12 && rps <= 200_000 * 1.12), `${rps}`);
      }
    }),
  );
});

test("a late answer changes health at once, and its rate no sooner than it is certain", () => {
  const window = new TelemetryWindow({ minIntervalMs: 500 });
  window.add([late("a", 0, 4, stats(1, 0))]);
  window.add([late("a", 1_000, 1_004, stats(2, 100))]);
  const slow = late("a", 2_000, 2_800, stats(3, 200));
  const cluster = slow.clusters.get("payments-site-a")!;
  window.add([{ ...slow, clusters: new Map([["payments-site-a", { ...cluster, healthyHosts: 0 }]]) }]);
  const snapshot = window.snapshot(2_800);
  const { healthyHosts, rps } = snapshot.targets.get("payments-site-a")!;
  assert.deepEqual([healthyHosts, rps, snapshot.atMonotonicMs], [0, 100, 2_400]);
});

test("an Envoy that always answers slowly is measured over longer intervals", () => {
  const window = new TelemetryWindow({ minIntervalMs: 500 });
  for (let s = 0; s <= 8; s++) window.add([late("a", s * 1_000, s * 1_000 + 400, stats(s, s * 30))]);
  const { rps, intervalS } = window.snapshot(8_400).targets.get("payments-site-a")!;
  assert.deepEqual([rps, intervalS], [30, 4]);
});

test("a restart within a reading that is not used does not hide behind the next", () => {
  const window = new TelemetryWindow({ minIntervalMs: 500 });
  window.add([late("a", 0, 4, stats(1, 0))]);
  window.add([late("a", 1_000, 1_004, stats(2, 50))]);
  window.add([late("a", 2_000, 2_800, stats(0, 10))]);
  window.add([late("a", 10_000, 10_004, stats(8, 770))]);
  assert.equal(window.snapshot(10_004).targets.get("payments-site-a")!.rps, 760 / 7.602);
});

test("a service's demand is the sum over its targets, and unknown while one of them is", () => {
  const window = new TelemetryWindow();
  window.add([first()]);
  window.add([second()]);
  const snapshot = window.snapshot(10_000);
  assert.equal(serviceDemand(snapshot, ["payments-site-a", "payments-site-b"]), 2.1);
  assert.equal(serviceDemand(snapshot, ["payments-site-a", "payments-site-c"]), null);
  assert.equal(serviceSeconds(snapshot, ["payments-site-a", "payments-site-b"]), 10);
  window.add([{ url: "a", atMonotonicMs: 11_000, reason: "gone" }]);
  assert.equal(serviceSeconds(window.snapshot(11_000), ["payments-site-a", "payments-site-b"]), 0);
});

test("hosts are judged by active checks, outlier detection and EDS; hosts not yet checked are not counted", () => {
  const hosts = (...health: unknown[]) => ({
    cluster_statuses: [{ name: "c", host_statuses: health.map((health_status) => ({ health_status })) }],
  });
  const judge = (...health: unknown[]) => {
    const { healthyHosts, totalHosts } = parseClusters(hosts(...health))!.get("c")!;
    return [healthyHosts, totalHosts];
  };
  assert.deepEqual(judge({ eds_health_status: "HEALTHY" }, {}, { eds_health_status: "DEGRADED" }), [3, 3]);
  assert.deepEqual(judge({ failed_active_health_check: true, eds_health_status: "HEALTHY" }), [0, 1]);
  assert.deepEqual(judge({ failed_outlier_check: true }, { pending_dynamic_removal: true }), [0, 2]);
  assert.deepEqual(judge({ eds_health_status: "DRAINING" }, { eds_health_status: "UNHEALTHY" }), [0, 2]);
  assert.deepEqual(judge({ pending_active_hc: true, failed_active_health_check: true }), [0, 0]);
  assert.deepEqual(parseClusters({}), new Map());
});

test("answers of any shape are refused or read with sound numbers, never thrown on", () => {
  const names = fc.constantFrom(
    "cluster_statuses",
    "name",
    "host_statuses",
    "stats",
    "value",
    "histograms",
    "details",
    "totals",
  );
  const { node } = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom("__proto__", "c", "", -1, 1e308, "99999999999999999999", null, true, "cluster.c.upstream_rq_5xx"),
      fc.array(tie("node"), { maxLength: 4 }),
      fc.dictionary(names, tie("node"), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(node, node, node, (clusters, one, two) => {
      const known = parseClusters(clusters) ?? new Map();
      const window = new TelemetryWindow();
      for (const [i, body] of [one, two].entries()) {
        const parsed = parseStats(body, ["c", "__proto__"]);
        if (parsed === null) continue;
        const health = known.get("c") ?? { healthyHosts: 0, totalHosts: 0, statName: "c" };
        const clusterStats = parsed.clusters.get("c")!;
        window.add([
          {
            url: "a",
            atMonotonicMs: i,
            uptimeS: parsed.uptimeS,
            node: null,
            clusters: new Map([["c", { ...health, stats: clusterStats }]]),
          },
        ]);
      }
      for (const t of window.snapshot(2).targets.values()) {
        assert.ok(t.rps === null || t.rps >= 0);
        assert.ok(t.errorRatio === null || (t.errorRatio >= 0 && t.errorRatio <= 1));
      }
    }),
  );
});

test("quantiles lie within the data, rise with q, and are exact where a bin edge is hit", () => {
  assert.equal(quantile([], 0.5), null);
  const two = [
    { lowMs: 10, widthMs: 1, count: 50 },
    { lowMs: 20, widthMs: 1, count: 50 },
  ];
  assert.equal(quantile(two, 0.5), 11);
  assert.equal(quantile(two, 0.99), 20.98);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(1_000), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 20 }),
      (raw) => {
        const bins = [...new Map(raw.map(([lowMs, count]) => [lowMs, { lowMs, widthMs: 1, count }])).values()];
        const [p50, p99] = [quantile(bins, 0.5)!, quantile(bins, 0.99)!];
        const lows = bins.map((b) => b.lowMs);
        assert.ok(Math.min(...lows) <= p50 && p50 <= p99 && p99 <= Math.max(...lows) + 1);
      },
    ),
  );
});
