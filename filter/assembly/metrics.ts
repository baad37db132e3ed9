// Gauges and counters, flushed on ticks. Gauges belong to the process and the last writer wins, so those about the whole
// Envoy are written by the leader only. Names: docs/reference/filter.md.
//
// The fixed ones are defined at the first tick. After them come a counter per reason of a refusal and one per route without
// a table; those are defined when they first count, so that they cost Envoy a name only where something is wrong.

import { MetricType } from "./abi";
import { isEqual, isName, NAME_BYTES, putBytes } from "./bytes";
import { defineMetric, incrementMetric, METRIC_NAME, recordMetric } from "./host";
import { routeNames } from "./memory";
import { putReason, REASONS } from "./reason";
import { ascii, putText, putWord } from "./words";

export namespace Gauge {
  export const EpochStaged: u32 = 0;
  export const EpochActive: u32 = 1;
  export const Members: u32 = 2;
  export const StreamUp: u32 = 3;
  export const SeedQuarantined: u32 = 4;
  export const Mode: u32 = 5;
  export const Services: u32 = 6;
  export const ConfigClash: u32 = 7;
  export const SetAge: u32 = 8;
  export const Unsubscribed: u32 = 9;
}
export namespace Counter {
  export const Steered: u32 = 10;
  export const Sticky: u32 = 11;
  export const Unwritten: u32 = 12;
  export const Passed: u32 = 13;
  export const WithoutTable: u32 = 14;
  export const Reconnects: u32 = 15;
  export const LeaseChanges: u32 = 16;
  /** And the reason's number. */
  export const Refused: u32 = 17;
}
const ROUTES: u32 = Counter.Refused + REASONS;
/** Routes without a table that are told apart, per VM. */
const MAX_ROUTES: u32 = 32;
const COUNT: u32 = ROUTES + MAX_ROUTES;
// In the order of the numbers above; "requests_" comes before those from Steered to WithoutTable.
const REQUESTS: usize = ascii("requests_");
const NAMES: usize = ascii(
  "epoch_staged|epoch_active|members|stream_up|seed_quarantined|mode|services|config_clash|set_age_seconds|unsubscribed|steered|sticky|unwritten|passed|without_table|reconnects|lease_changes",
);
const REFUSED: usize = ascii("refused.");
const WITHOUT_TABLE: usize = ascii("without_table.");

/** Per metric: 0 u64 value, 8 u64 flushed value of a counter, 16 u32 id, 0 until defined. */
const METRICS = memory.data(75 * 24, 8);

function metric(which: u32): usize {
  return METRICS + <usize>which * 24;
}

export function gauge(which: u32, value: u64): void {
  store<u64>(metric(which), value);
}

export function count(which: u32): void {
  const at = metric(which);
  store<u64>(at, load<u64>(at) + 1);
}

/** Name of the nth route, u16-prefixed; empty when the place is free. */
function routeName(nth: u32): usize {
  return routeNames() + <usize>nth * (2 + NAME_BYTES);
}

/** Counts a request whose route is no service. Route names are the operator's, not the client's, and bounded all the same. */
export function countRoute(name: usize, length: usize): void {
  for (let nth: u32 = 0; nth < MAX_ROUTES; nth++) {
    const there = routeName(nth);
    if (load<u16>(there) == 0 && isName(name, length)) {
      store<u16>(there, <u16>length);
      memory.copy(there + 2, name, length);
    }
    if (isEqual(there + 2, load<u16>(there), name, length)) return count(ROUTES + nth);
  }
}

function define(which: u32): u32 {
  let end = METRIC_NAME;
  if (which >= Counter.Steered && which <= Counter.WithoutTable) end = putText(end, REQUESTS);
  if (which < Counter.Refused) end = putWord(end, NAMES, which);
  else if (which < ROUTES) end = putReason(putText(end, REFUSED), which - Counter.Refused);
  else {
    const route = routeName(which - ROUTES);
    end = putBytes(putText(end, WITHOUT_TABLE), route + 2, load<u16>(route));
  }
  return defineMetric(which < Counter.Steered ? MetricType.Gauge : MetricType.Counter, end);
}

/** Counters cross into the host when they rose. Gauges always: another VM may have written them since; the leader's are all but the last. */
export function flushMetrics(isLeader: bool): void {
  for (let which: u32 = 0; which < COUNT; which++) {
    const at = metric(which);
    const value = load<u64>(at);
    if ((load<u32>(at, 16) == 0) & ((which < Counter.Refused) | (value != 0))) store<u32>(at, define(which), 16);
    if (which < Counter.Steered) {
      if (isLeader || which == Gauge.Unsubscribed) recordMetric(load<u32>(at, 16), value);
    } else if (value != load<u64>(at, 8)) {
      incrementMetric(load<u32>(at, 16), value - load<u64>(at, 8));
      store<u64>(at, value, 8);
    }
  }
}
