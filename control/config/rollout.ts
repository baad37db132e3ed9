import { PPM } from "../plan/plan.ts";
import type { RolloutPolicy } from "../rollout/decide.ts";
import type { Objective } from "../rollout/metrics.ts";
import * as v from "./values.ts";
import type { Section } from "./yaml-reader.ts";

const DAY_MS = 86_400_000;
const MAX_COHORTS = 16;

export const ROLLOUT_FIELDS = {
  rollout: ["cohorts", "slotStep", "bakeTime", "telemetryGap", "maxFailedNodes", "maxRollbacks"],
  objective: ["errors", "latency", "quantile"],
} as const;

const DEFAULTS: RolloutPolicy = {
  cohorts: [0, 250_000, PPM],
  slotStepPpm: null,
  bakeMs: 300_000,
  telemetryGapMs: 60_000,
  maxFailedPpm: 100_000,
  maxRollbacks: 3,
};

const cohort: v.ValueKind<number> = {
  expected: "one, or a percent of the nodes above 0%",
  parse: (text) => (text === "one" ? 0 : v.shareAboveZero.parse(text)),
};

const rollbacks: v.ValueKind<number> = {
  expected: "a whole number from 1 to 100",
  parse(text) {
    const value = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
    return value >= 1 && value <= 100 ? value : undefined;
  },
};

/** Section `rollout` of ballast.yaml; undefined when anything is wrong. */
export function readRollout(root: Section): RolloutPolicy | undefined {
  if (!root.has("rollout")) return DEFAULTS;
  const section = root.section("rollout", ROLLOUT_FIELDS.rollout);
  if (section === undefined) return undefined;
  const cohorts = readCohorts(section);
  const slotStepPpm = section.has("slotStep") ? section.value("slotStep", v.shareAboveZero, PPM) : null;
  const bakeMs = section.value("bakeTime", v.duration({ minMs: 0, maxMs: 7 * DAY_MS, range: "at most 7d" }), 300_000);
  const gap = v.duration({ minMs: 1000, maxMs: DAY_MS, range: "1s to 1d" });
  const telemetryGapMs = section.value("telemetryGap", gap, DEFAULTS.telemetryGapMs);
  const maxFailedPpm = section.value("maxFailedNodes", v.share, DEFAULTS.maxFailedPpm);
  const maxRollbacks = section.value("maxRollbacks", rollbacks, DEFAULTS.maxRollbacks);
  if (cohorts === undefined || slotStepPpm === undefined || bakeMs === undefined) return undefined;
  if (telemetryGapMs === undefined || maxFailedPpm === undefined || maxRollbacks === undefined) return undefined;
  return { cohorts, slotStepPpm, bakeMs, telemetryGapMs, maxFailedPpm, maxRollbacks };
}

function readCohorts(section: Section): readonly number[] | undefined {
  if (!section.has("cohorts")) return DEFAULTS.cohorts;
  const cohorts = section.list("cohorts", cohort, MAX_COHORTS);
  if (cohorts === undefined) return undefined;
  const rising = cohorts.every((ppm, i) => i === 0 || ppm > cohorts[i - 1]!);
  if (cohorts.length > 0 && rising && cohorts.at(-1) === PPM) return cohorts;
  section.reject(
    "cohorts",
    rising ? "cohorts that do not end with all" : "cohorts that do not rise",
    "such as [one, 25%, 100%]",
  );
  return undefined;
}

/** Section `objective` of a service; undefined when anything is wrong. */
export function readObjective(service: Section): Objective | undefined {
  const section = service.has("objective") ? service.section("objective", ROLLOUT_FIELDS.objective) : null;
  if (section === undefined) return undefined;
  if (section === null) return { errorsPpm: 10_000, latencyMs: null, quantile: 0.99 };
  const errorsPpm = section.value("errors", v.share, 10_000);
  const wanted = v.duration({ minMs: 1, maxMs: 600_000, range: "1ms to 10m" });
  const latencyMs = section.has("latency") ? section.value("latency", wanted, 0) : null;
  const quantile = section.value(
    "quantile",
    v.numberBetween(0, 1, "a quantile between 0 and 1 such as 0.99", true),
    0.99,
  );
  if (errorsPpm === undefined || latencyMs === undefined || quantile === undefined) return undefined;
  return { errorsPpm, latencyMs, quantile };
}
