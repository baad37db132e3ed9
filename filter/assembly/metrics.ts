// Gauges and counters, defined at the first tick and flushed on ticks. Gauges belong to the process and the last writer
// wins, so those about the whole Envoy are written by the leader only. Names: docs/reference/filter.md.

import { MetricType } from "./abi";
import { defineMetric, incrementMetric, recordMetric } from "./host";

/** A metric and what was flushed of it last: only changes cross into the host. */
@unmanaged
class Metric {
  flushed: u64;
  id: u32;
  fresh: bool;
}
const METRIC_BYTES: usize = 16;

export namespace Gauge {
  export const EpochStaged: u32 = 0;
  export const EpochActive: u32 = 1;
  export const Members: u32 = 2;
  export const StreamUp: u32 = 3;
  export const SeedQuarantined: u32 = 4;
  export const Mode: u32 = 5;
  export const Services: u32 = 6;
  export const Unsubscribed: u32 = 7;
}
export namespace Counter {
  export const Steered: u32 = 8;
  export const Sticky: u32 = 9;
  export const Passed: u32 = 10;
  export const WithoutTable: u32 = 11;
  export const RefusedTables: u32 = 12;
  export const Reconnects: u32 = 13;
  export const LeaseChanges: u32 = 14;
}
const METRICS = memory.data(15 * 16, 8);

let defined: bool = false;

function metric(which: u32): Metric {
  return changetype<Metric>(METRICS + <usize>which * METRIC_BYTES);
}

// In the order of the numbers above.
const NAMES: string =
  "epoch_staged|epoch_active|members|stream_up|seed_quarantined|mode|services|unsubscribed|requests_steered|requests_sticky|requests_passed|requests_without_table|refused_tables|reconnects|lease_changes";

export function defineMetrics(): void {
  if (defined) return;
  defined = true;
  for (let which: u32 = 0; which <= Counter.LeaseChanges; which++) {
    const m = metric(which);
    m.id = defineMetric(
      which <= Gauge.Unsubscribed ? MetricType.Gauge : MetricType.Counter,
      NAMES,
      which,
    );
    m.fresh = true;
  }
}

export function gauge(which: u32, to: u64): void {
  const m = metric(which);
  if (m.id == 0 || (!m.fresh && m.flushed == to)) return;
  m.fresh = false;
  m.flushed = to;
  recordMetric(m.id, to);
}

/** A former leader's value may have been overwritten since: write all of them again. */
export function refreshGauges(): void {
  for (let which: u32 = 0; which <= Gauge.Unsubscribed; which++)
    metric(which).fresh = true;
}

/** `total` only ever rises; the host wants what was added. */
export function counter(which: u32, total: u64): void {
  const m = metric(which);
  if (m.id == 0 || total == m.flushed) return;
  incrementMetric(m.id, total - m.flushed);
  m.flushed = total;
}
