import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { LiveVisits, type LiveVisitsOptions } from "./live-visits.ts";
import { nameOf } from "./visit-columns.ts";

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 3, 12, 12);
const line = (atMs: number, client: string, path: string, route = "shop") =>
  JSON.stringify({
    start_time: new Date(atMs).toISOString(),
    path,
    downstream_remote_address: client,
    route_name: route,
  });

function made(more: Partial<LiveVisitsOptions> = {}): LiveVisits {
  return new LiveVisits({
    keepMs: 60 * MINUTE,
    bucketMs: 5 * MINUTE,
    delayMs: 0,
    maxPerBucket: 1_000,
    key: "k",
    ...more,
  });
}

describe("live visits", () => {
  test("are those of the lines, in order of time, by hashes of client and route", () => {
    const visits = made();
    visits.add(line(NOW - 2 * MINUTE, "10.0.0.1:5", "/cart/7?x=1"), null, NOW);
    visits.add(line(NOW - 3 * MINUTE, "10.0.0.2:5", "/pay"), null, NOW);
    const { atMs, clients, routes } = visits.between("shop", NOW - 10 * MINUTE, NOW);
    assert.deepEqual([...atMs], [NOW - 3 * MINUTE, NOW - 2 * MINUTE]);
    assert.deepEqual([...clients], [nameOf("10.0.0.2", "k"), nameOf("10.0.0.1", "k")]);
    assert.deepEqual([...routes], [nameOf("/pay"), nameOf("/cart/*")]);
    assert.equal(visits.between("other", 0, NOW).atMs.length, 0);
    assert.equal(visits.wholeFromMs, NOW - 2 * MINUTE, "what came before the first line that was read is not known");
  });

  test("count when the request had ended: that it would come was not known while it ran", () => {
    const visits = made();
    const logged = JSON.stringify({ ...JSON.parse(line(NOW - MINUTE, "a", "/")), duration: 30_000 });
    visits.add(logged, null, NOW);
    assert.equal(visits.newestMs, NOW - MINUTE / 2);
  });

  test("of a busy service are the newest of each bucket, and memory has a bound that moves what is whole", () => {
    const busy = made({ maxPerBucket: 100 });
    const start = NOW - 5 * MINUTE;
    for (let i = 0; i < 1_000; i++) busy.add(line(start + i, `c${i}`, "/"), null, NOW);
    const { atMs } = busy.between("shop", start, NOW);
    assert.deepEqual([atMs.length, atMs[0], atMs.at(-1)], [100, start + 900, start + 999]);
    assert.deepEqual([busy.counts.held, busy.wholeFromMs], [100, start]);

    const small = made({ maxVisits: 250 });
    for (let i = 0; i < 600; i++) small.add(line(NOW - 60 * MINUTE + i * 6_000, `c${i % 9}`, "/"), null, NOW);
    assert.ok(small.counts.held <= 250);
    assert.ok(small.wholeFromMs > NOW - 30 * MINUTE, "the oldest bucket went");
    const held = small.between("shop", small.wholeFromMs, NOW).atMs.length;
    assert.ok(held > 150 && held <= 250, `${held}`);
  });

  test("older than is asked for are dropped as time goes by", () => {
    const visits = made();
    for (let i = 0; i < 300; i++) visits.add(line(NOW + i * MINUTE, "c", "/"), null, NOW + i * MINUTE);
    assert.ok(visits.counts.held <= 66, `${visits.counts.held}`);
  });

  test("lines from the future, of another format or without a service are counted, and many of them condemn the log", () => {
    const visits = made();
    for (let i = 0; i < 40; i++) visits.add(line(NOW + i, "c", "/"), null, NOW);
    visits.add(line(NOW + 9_000 * MINUTE, "c", "/"), null, NOW);
    visits.add(null, null, NOW);
    assert.deepEqual([visits.counts.unreadable, visits.newestMs, visits.unreadable], [2, NOW + 39, false]);
    const random = new SeededRandom(3);
    for (let i = 0; i < 400; i++) visits.add(`[${random.normal()}] what is this`, null, NOW);
    assert.equal(visits.unreadable, true);
    for (let i = 0; i < 2_000; i++) visits.add(line(NOW + i, "c", "/"), null, NOW);
    assert.equal(visits.unreadable, false);
  });

  test("after a gap are whole only from the next line on", () => {
    const visits = made();
    visits.add(line(NOW - 9 * MINUTE, "c", "/"), null, NOW);
    visits.gap();
    assert.equal(visits.wholeFromMs, Number.POSITIVE_INFINITY);
    visits.add(line(NOW, "c", "/"), null, NOW);
    assert.equal(visits.wholeFromMs, NOW);
  });
});
