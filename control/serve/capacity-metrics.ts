import type { UsedCapacity } from "../capacity/capacity-book.ts";
import type { Metric } from "./metrics-text.ts";
import type { StatusPorts } from "./status.ts";

/** What plans count on, where it comes from, and how old what was learnt is. */
export function capacityMetrics({ capacities, estate, clock }: StatusPorts): Metric[] {
  const nowMs = clock.nowMs();
  const used: { labels: { service: string; target: string }; capacity: UsedCapacity }[] = [];
  for (const [service, { targets }] of estate.services)
    for (const target of targets)
      used.push({ labels: { service, target: target.name }, capacity: capacities.used(target, nowMs) });
  return [
    {
      name: "ballast_target_capacity_rps",
      help: "Requests per second that plans count on, by source: configured, estate, assumed or learnt.",
      type: "gauge",
      samples: used.map(({ labels, capacity: { rps, source } }) => ({ labels: { ...labels, source }, value: rps })),
    },
    {
      name: "ballast_learnt_capacity_age_seconds",
      help: "Planning time since the newest reading behind a target's learnt capacity.",
      type: "gauge",
      samples: used.flatMap(({ labels, capacity: { learntAgeMs } }) =>
        learntAgeMs === null ? [] : [{ labels, value: learntAgeMs / 1000 }],
      ),
    },
  ];
}
