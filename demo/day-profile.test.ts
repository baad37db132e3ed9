import assert from "node:assert/strict";
import { test } from "node:test";
import { Arrivals, lastWeek, rateAt } from "./day-profile.ts";
import { seededRandom } from "./random.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

test("the rate is that of the same weekday and hour in the recorded week, also weeks later and before it", () => {
  const values = Array.from({ length: 168 }, (_, hour) => hour);
  const week = lastWeek({ startMs: 0, values }, HOUR);
  for (const weeks of [-2, 0, 1, 9]) assert.equal(rateAt(week, weeks * 7 * DAY + 30.5 * HOUR), 30);
  assert.equal(rateAt(week, 31 * HOUR), 30.5);
});

test("only the last week of a longer history is played", () => {
  const values = Array.from({ length: 3 * 168 }, (_, hour) => (hour < 336 ? 1000 : 5));
  const week = lastWeek({ startMs: 0, values }, HOUR);
  assert.equal(week.rps.length, 168);
  assert.equal(rateAt(week, 50 * DAY), 5);
});

test("a gap counts as the value before it", () => {
  const week = lastWeek({ startMs: 0, values: [4, Number.NaN, Number.NaN, 8] }, HOUR);
  assert.equal(rateAt(week, 2.5 * HOUR), 4);
});

test("arrivals come at the rate in force and repeat with the seed", () => {
  const make = (): Arrivals =>
    new Arrivals({ startMs: 0, random: seededRandom(5), rateAt: (ms) => (ms < 10_000 ? 100 : 300) });
  const times = drain(make(), 20_000, 20_000);
  const early = times.filter((at) => at < 10_000).length;
  // Far more than the Erlang gaps spread: standard deviations of 8 and 14.
  assert.ok(Math.abs(early - 1000) < 160, `${early}`);
  assert.ok(Math.abs(times.length - early - 3000) < 275, `${times.length - early}`);
  assert.deepEqual(drain(make(), 20_000, 7), times);
});

test("a service at rest sends nothing until its rate rises", () => {
  const arrivals = new Arrivals({ startMs: 0, random: seededRandom(5), rateAt: (ms) => (ms < 5000 ? 0 : 50) });
  assert.equal(arrivals.next(4999), null);
  assert.ok(arrivals.next(10_000)! >= 5000);
});

/** All arrivals up to `untilMs`, asked for every `everyMs`. */
function drain(arrivals: Arrivals, untilMs: number, everyMs: number): number[] {
  const times: number[] = [];
  for (let nowMs = everyMs; nowMs <= untilMs + everyMs; nowMs += everyMs) {
    for (let at = arrivals.next(Math.min(nowMs, untilMs)); at !== null; at = arrivals.next(Math.min(nowMs, untilMs)))
      times.push(at);
  }
  return times;
}
