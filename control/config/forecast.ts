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
  /** When a candidate may be proposed for promotion. */
  promotion: {
    minWindows: number;
    /** Share by which its wQL must be lower than that of what steers, 0 … 1. */
    margin: number;
  };
}

export const FORECAST_FIELDS = {
  forecast: ["drift", "timeout", "served", "promotion"],
  "forecast.promotion": ["minWindows", "margin"],
} as const;

export const DEFAULT_FORECAST: ForecastConfig = {
  drift: "warn",
  timeoutMs: 2_000,
  served: null,
  promotion: { minWindows: 24, margin: 0.02 },
};

const drift: v.ValueKind<ForecastConfig["drift"]> = {
  expected: "off, warn or fallback",
  parse: (text) => (["off", "warn", "fallback"] as const).find((one) => one === text),
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
  const promotion = readPromotion(section);
  if (policy === undefined || timeoutMs === undefined || served === undefined || promotion === undefined)
    return undefined;
  return { drift: policy, timeoutMs, served, promotion };
}

function readPromotion(parent: Section): ForecastConfig["promotion"] | undefined {
  const defaults = DEFAULT_FORECAST.promotion;
  if (!parent.has("promotion")) return defaults;
  const section = parent.section("promotion", FORECAST_FIELDS["forecast.promotion"]);
  if (section === undefined) return undefined;
  const minWindows = section.value("minWindows", windows, defaults.minWindows);
  const marginPpm = section.value("margin", v.share, defaults.margin * 1_000_000);
  return minWindows === undefined || marginPpm === undefined
    ? undefined
    : { minWindows, margin: marginPpm / 1_000_000 };
}
