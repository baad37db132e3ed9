import { isZone } from "../../common/zoned.ts";
import * as v from "./values.ts";
import type { Section } from "./yaml-reader.ts";

/** Section `forecast` of ballast.yaml; units and ranges in docs/reference/ballast-yaml.md. */
export interface ForecastConfig {
  /** What is done when the model has drifted. */
  drift: "off" | "warn" | "fallback";
  /** Limit for one batch of inference. */
  timeoutMs: number;
  /** Folder of the record of what the model is asked with, for `ballast train --served`; null: none. */
  served: string | null;
  /** What feature groups are made of (docs/reference/features.md). Paths as written; null: none. */
  holidays: string | null;
  signals: string | null;
  /** A file of signals that was written longer ago says nothing of now; wall time. Null: it stays good. */
  signalsMaxAgeMs: number | null;
  /** Access logs that are followed; `service` null: each line names its own. */
  accessLogs: readonly { file: string; service: string | null }[];
  /** IANA zone of the people who cause the load; null: a model's own. */
  timeZone: string | null;
  /** When a candidate may be proposed for promotion. */
  promotion: {
    minWindows: number;
    /** Share by which its wQL must be lower than that of what steers, 0 … 1. */
    margin: number;
    /** Changes and targets that must be scored before a risk model may be proposed. */
    minChanges: number;
  };
  /** How often the export is looked at for changes that were closed, real time. */
  outcomesMs: number;
}

export const FORECAST_FIELDS = {
  forecast: [
    "drift",
    "timeout",
    "served",
    "holidays",
    "signals",
    "signalsMaxAge",
    "accessLog",
    "timeZone",
    "outcomes",
    "promotion",
  ],
  "forecast.promotion": ["minWindows", "margin", "minChanges"],
} as const;

export const DEFAULT_FORECAST: ForecastConfig = {
  drift: "warn",
  timeoutMs: 2_000,
  served: null,
  holidays: null,
  signals: null,
  signalsMaxAgeMs: null,
  accessLogs: [],
  timeZone: null,
  promotion: { minWindows: 24, margin: 0.02, minChanges: 200 },
  outcomesMs: 300_000,
};

const drift: v.ValueKind<ForecastConfig["drift"]> = {
  expected: "off, warn or fallback",
  parse: (text) => (["off", "warn", "fallback"] as const).find((one) => one === text),
};

const MAX_ACCESS_LOGS = 64;

const accessLog: v.ValueKind<ForecastConfig["accessLogs"][number]> = {
  expected: "a path, or SERVICE=PATH for a log whose lines name no service",
  parse(text) {
    const [, service, named] = /^([A-Za-z0-9._:|-]{1,128})=(.+)$/.exec(text) ?? [];
    const file = v.text("a path").parse(named ?? text);
    return file === undefined ? undefined : { file, service: service ?? null };
  },
};

const zone: v.ValueKind<string> = {
  expected: "a time zone such as Europe/Berlin",
  parse: (text) => (isZone(text) ? text : undefined),
};

const changes: v.ValueKind<number> = {
  expected: "a whole number from 1 to 800",
  parse(text) {
    const value = /^\d{1,3}$/.test(text) ? Number(text) : 0;
    return value >= 1 && value <= 800 ? value : undefined;
  },
};

const windows: v.ValueKind<number> = {
  expected: "a whole number from 1 to 336",
  parse(text) {
    const value = /^\d{1,3}$/.test(text) ? Number(text) : 0;
    return value >= 1 && value <= 336 ? value : undefined;
  },
};

/** Undefined when it is wrong; then the reader holds the reason. */
export function readForecast(root: Section): ForecastConfig | undefined {
  if (!root.has("forecast")) return DEFAULT_FORECAST;
  const section = root.section("forecast", FORECAST_FIELDS.forecast);
  if (section === undefined) return undefined;
  const policy = section.value("drift", drift, DEFAULT_FORECAST.drift);
  const timeout = v.duration({ minMs: 100, maxMs: 10_000, range: "100ms to 10s" });
  const timeoutMs = section.value("timeout", timeout, DEFAULT_FORECAST.timeoutMs);
  const served = section.has("served") ? section.value("served", v.text("a path"), null) : null;
  const file = (name: string) => (section.has(name) ? section.value(name, v.text("a path"), null) : null);
  const holidays = file("holidays");
  const signals = file("signals");
  const age = v.duration({ minMs: 60_000, maxMs: 365 * 86_400_000, range: "1m to 365d" });
  const signalsMaxAgeMs = section.has("signalsMaxAge") ? section.value("signalsMaxAge", age, 0) : null;
  const accessLogs = section.list("accessLog", accessLog, MAX_ACCESS_LOGS);
  const timeZone = section.has("timeZone") ? section.value("timeZone", zone, "") : null;
  const promotion = readPromotion(section);
  const outcomes = v.duration({ minMs: 1_000, maxMs: 86_400_000, range: "1s to 1d" });
  const outcomesMs = section.value("outcomes", outcomes, DEFAULT_FORECAST.outcomesMs);
  if (signalsMaxAgeMs !== null && signals === null)
    section.reject("signalsMaxAge", "an age without a file", "`signals` beside it");
  if (policy === undefined || timeoutMs === undefined || served === undefined || promotion === undefined)
    return undefined;
  if (holidays === undefined || signals === undefined || signalsMaxAgeMs === undefined) return undefined;
  if (accessLogs === undefined || timeZone === undefined) return undefined;
  if (outcomesMs === undefined) return undefined;
  return {
    drift: policy,
    timeoutMs,
    served,
    holidays,
    signals,
    signalsMaxAgeMs,
    accessLogs,
    timeZone,
    promotion,
    outcomesMs,
  };
}

function readPromotion(parent: Section): ForecastConfig["promotion"] | undefined {
  const defaults = DEFAULT_FORECAST.promotion;
  if (!parent.has("promotion")) return defaults;
  const section = parent.section("promotion", FORECAST_FIELDS["forecast.promotion"]);
  if (section === undefined) return undefined;
  const minWindows = section.value("minWindows", windows, defaults.minWindows);
  const marginPpm = section.value("margin", v.share, defaults.margin * 1_000_000);
  const minChanges = section.value("minChanges", changes, defaults.minChanges);
  return minWindows === undefined || marginPpm === undefined || minChanges === undefined
    ? undefined
    : { minWindows, margin: marginPpm / 1_000_000, minChanges };
}
