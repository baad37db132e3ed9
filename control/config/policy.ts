import type { Policy } from "./config.ts";
import * as v from "./values.ts";
import type { Section } from "./yaml-reader.ts";

const DAY_MS = 86_400_000;
const upToAWeek = { minMs: 0, maxMs: 7 * DAY_MS, range: "at most 7d" };
const upToADay = { minMs: 1, maxMs: DAY_MS, range: "above 0, at most 1d" };

/** One row per policy field: its name in the file, in `Policy`, how it is read, and its default. */
const FIELD_TABLE: { field: string; key: keyof Policy; kind: v.ValueKind<number>; standard: number }[] = [
  { field: "stepLimit", key: "stepLimitPpm", kind: v.shareAboveZero, standard: 200_000 },
  { field: "stepInterval", key: "stepIntervalMs", kind: v.duration(upToADay), standard: 600_000 },
  { field: "leadTime", key: "leadTimeMs", kind: v.duration(upToAWeek), standard: 1_500_000 },
  { field: "returnAfter", key: "returnAfterMs", kind: v.duration(upToAWeek), standard: 600_000 },
  { field: "hysteresis", key: "hysteresisPpm", kind: v.share, standard: 10_000 },
  { field: "floor", key: "floorPpm", kind: v.share, standard: 0 },
  { field: "cap", key: "capPpm", kind: v.shareAboveZero, standard: 1_000_000 },
  {
    field: "demandQuantile",
    key: "demandQuantile",
    kind: v.numberBetween(0, 1, "a quantile between 0 and 1 such as 0.9", true),
    standard: 0.9,
  },
  { field: "targetUtilisation", key: "targetUtilisation", kind: v.fraction(v.shareAboveZero), standard: 0.7 },
  { field: "telemetryMaxAge", key: "telemetryMaxAgeMs", kind: v.duration(upToADay), standard: 10_000 },
  { field: "p1Remaining", key: "p1Remaining", kind: v.fraction(v.share), standard: 0 },
  { field: "changeRemaining", key: "changeRemaining", kind: v.fraction(v.share), standard: 0 },
  { field: "pendingChance", key: "pendingChance", kind: v.fraction(v.share), standard: 0 },
  { field: "riskFrom", key: "riskFrom", kind: v.fraction(v.share), standard: 0.1 },
  { field: "riskShift", key: "riskShiftPpm", kind: v.share, standard: 500_000 },
  { field: "p2Remaining", key: "p2Remaining", kind: v.fraction(v.share), standard: 0.5 },
];

export const POLICY_FIELDS: readonly string[] = FIELD_TABLE.map((row) => row.field);

/** Reads a policy section on top of `base` (null: the defaults). A field that is wrong is undefined in the result. */
export function readPolicy(section: Section | undefined, base: Partial<Policy> | null): Partial<Policy> {
  const policy: Record<string, number | undefined> = {};
  for (const { field, key, kind, standard } of FIELD_TABLE) {
    const inherited = base === null ? standard : base[key];
    policy[key] = section?.has(field) ? section.value(field, kind, 0) : inherited;
  }
  return policy as Partial<Policy>;
}

export function policyFieldOf(key: keyof Policy): string {
  const row = FIELD_TABLE.find((r) => r.key === key);
  if (row === undefined) throw new Error(`no policy field for ${key}`);
  return row.field;
}
