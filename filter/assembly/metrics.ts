// Gauges and counters, defined at the first tick and flushed on ticks. Gauges belong to the process and the last writer
// wins, so those about the whole Envoy are written by the leader only. Names: docs/reference/filter.md.

import { MetricType } from "./abi";
import { ascii } from "./words";
import { defineMetric, incrementMetric, recordMetric } from "./host";

export namespace Gauge {
  export const EpochStaged: u32 = 0;
  export const EpochActive: u32 = 1;
  export const Members: u32 = 2;
  export const StreamUp: u32 = 3;
  export const SeedQuarantined: u32 = 4;
  export const Mode: u32 = 5;
  export const Services: u32 = 6;
  export const ConfigClash: u32 = 7;
  export const Unsubscribed: u32 = 8;
}
export namespace Counter {
  export const Steered: u32 = 9;
  export const Sticky: u32 = 10;
  export const Passed: u32 = 11;
  export const WithoutTable: u32 = 12;
  export const RefusedTables: u32 = 13;
  export const Reconnects: u32 = 14;
  export const LeaseChanges: u32 = 15;
}
const COUNT: u32 = 16;
// In the order of the numbers above.
const NAMES: usize = ascii(
  "epoch_staged|epoch_active|members|stream_up|seed_quarantined|mode|services|config_clash|unsubscribed|requests_steered|requests_sticky|requests_passed|requests_without_table|refused_tables|reconnects|lease_changes",
);

/** Per metric: 0 u64 value, 8 u64 flushed value of a counter. Ids apart, 0 until defined. */
const VALUES = memory.data(16 * 16, 8);
const IDS = memory.data(16 * 4, 8);


@inline
export function gauge(which: u32, value: u64): void {
  store<u64>(VALUES + ((<usize>which) << 4), value);
}

export function count(which: u32): void {
  const at = VALUES + ((<usize>which) << 4);
  store<u64>(at, load<u64>(at) + 1);
}

/** Counters cross into the host when they rose. Gauges always: another VM may have written them since; the leader's are all but the last. */
export function flushMetrics(isLeader: bool): void {
  for (let which: u32 = 0; which < COUNT; which++) {
    const at = VALUES + ((<usize>which) << 4);
    const id = IDS + ((<usize>which) << 2);
    const isGauge = which <= Gauge.Unsubscribed;
    if (load<u32>(id) == 0) {
      store<u32>(id, defineMetric(isGauge ? MetricType.Gauge : MetricType.Counter, NAMES, which));
    }
    const value = load<u64>(at);
    if (isGauge) {
      if (isLeader || which == Gauge.Unsubscribed) recordMetric(load<u32>(id), value);
    } else if (value != load<u64>(at, 8)) {
      incrementMetric(load<u32>(id), value - load<u64>(at, 8));
      store<u64>(at, value, 8);
    }
  }
}
