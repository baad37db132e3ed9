import assert from "node:assert/strict";
import { test } from "node:test";
import { FleetForecast } from "./fleet-forecast.ts";
import type { DemandForecast } from "./forecast.ts";
import { FleetAnswer, ServiceIndex } from "./model/fleet-answer.ts";
import { Quantiles } from "./quantiles.ts";

const WHY = { code: "HISTORY_TOO_SHORT", text: "the model needs more" } as const;
const about = { issuedAtMs: 600_000, stepMs: 300_000, levels: [0.5, 0.9] };

/** Three services; the model answers for the first and the last, whose values lie in one room in the order of its batch. */
function fleet() {
  const answer = new FleetAnswer(ServiceIndex.of(["a", "b", "c"], null), 2, 3);
  answer.room(1);
  const room = answer.room(2);
  room.set(Float64Array.from({ length: 12 }, (_, i) => i));
  answer.take(2, room, 0);
  answer.take(0, room, 1);
  answer.refuse(1, WHY);
  const other: DemandForecast = {
    ...about,
    service: "b",
    source: "last",
    fallbackReasons: ["HISTORY_TOO_SHORT: the model needs more"],
    values: Quantiles.of([[1], [2]]),
    lastRps: 7,
  };
  const forecasts = new FleetForecast({
    ...about,
    answer,
    lastRps: Float64Array.of(5, 0, Number.NaN),
    others: new Map([["b", other]]),
  });
  return { answer, forecasts, other };
}

test("a service's forecast is made of its own values, in the order in which services were asked for", () => {
  const { forecasts, other } = fleet();
  const [a, c] = [forecasts.get("a")!, forecasts.get("c")!];
  assert.deepEqual(a.values.rows(), [Float64Array.of(6, 7, 8), Float64Array.of(9, 10, 11)]);
  assert.deepEqual(c.values.rows(), [Float64Array.of(0, 1, 2), Float64Array.of(3, 4, 5)]);
  assert.deepEqual([a.source, a.lastRps, c.lastRps, a.fallbackReasons], ["model", 5, null, []]);
  assert.equal(forecasts.get("b"), other);
  assert.deepEqual([...forecasts.keys()], ["a", "b", "c"]);
});

test("it reads like the map of its forecasts, whichever way it is walked", () => {
  const { forecasts } = fleet();
  const map = new Map(forecasts);
  const services = ["a", "b", "c"];
  assert.deepEqual([forecasts.size, map.size], [3, 3]);
  assert.deepEqual([...map.keys()], services);
  const plain = ({ values, ...rest }: DemandForecast) => ({ ...rest, values: values.rows() });
  const wanted = services.map((name) => plain(forecasts.get(name)!));
  assert.deepEqual([...forecasts.values()].map(plain), wanted);
  assert.deepEqual(
    [...forecasts.entries()].map(([, forecast]) => plain(forecast)),
    wanted,
  );
  const visited: string[] = [];
  forecasts.forEach((forecast, service, whole) => {
    assert.equal(whole, forecasts);
    assert.equal(forecast.service, service);
    visited.push(service);
  });
  assert.deepEqual(visited, services);
  assert.deepEqual([forecasts.has("c"), forecasts.has("d"), forecasts.get("d")], [true, false, undefined]);
});

test("an answer says why a service has none, and a service that nobody answered for is a broken invariant", () => {
  const { answer } = fleet();
  assert.deepEqual([answer.reasonAt(0), answer.reasonAt(1), answer.get("b")], [null, WHY, WHY]);
  assert.equal(answer.get("nobody"), undefined);
  const empty = new FleetAnswer(ServiceIndex.of(["a"], null), 2, 3);
  assert.throws(() => empty.reasonAt(0), /no answer for a/);
  assert.equal(empty.refuseAll(WHY).get("a"), WHY);
});

test("rooms follow each other without overlap, hold no number at first, and are no more than the services", () => {
  const answer = new FleetAnswer(ServiceIndex.of(["a", "b", "c"], null), 1, 2);
  const [first, second] = [answer.room(2), answer.room(1)];
  assert.ok([...first, ...second].every(Number.isNaN));
  first.fill(1);
  second.fill(2);
  answer.take(0, second, 0);
  answer.take(1, first, 1);
  assert.deepEqual(answer.quantilesAt(0).rows(), [Float64Array.of(2, 2)]);
  assert.deepEqual(answer.quantilesAt(1).rows(), [Float64Array.of(1, 1)]);
  assert.throws(() => answer.room(1), /more services/);
  assert.throws(() => answer.take(2, new Float64Array(2), 0), /another answer/);
});

test("an index is taken again for the same services only, and counts a service once", () => {
  const index = ServiceIndex.of(["a", "b"], null);
  assert.equal(ServiceIndex.of(["a", "b"], index), index);
  for (const other of [["b", "a"], ["a"], ["a", "b", "c"], ["a", "c"]])
    assert.deepEqual(ServiceIndex.of(other, index).names, other);
  const twice = ServiceIndex.of(["a", "b", "a"], index);
  assert.deepEqual([twice.names, twice.placeOf("b"), twice.placeOf("c")], [["a", "b"], 1, undefined]);
});
