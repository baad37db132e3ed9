import { MAX_SPAN_DAYS, type Repeat, type Schedule } from "../../common/recurrence.ts";
import { isLocalTime, isZone } from "../../common/zoned.ts";
import * as v from "./values.ts";
import { REQUIRED, type Section } from "./yaml-reader.ts";

const DAY_MS = 86_400_000;
const MAX_FREEZES = 256;
const MAX_SERVICES = 1024;

/** Section `changeControl` of ballast.yaml; units and ranges in docs/reference/ballast-yaml.md. */
export interface ChangeControl {
  standard: {
    /** Null: the service's own step limit. */
    maxStepPpm: number | null;
    maxServices: number;
    minSharePpm: number;
  };
  normal: { maxPending: number; expireAfterMs: number };
  emergency: { approveWithinMs: number };
  /** Zone of calendar entries that name none. */
  zone: string;
  /** True: maintenance schedules of the estate's calendar are allow windows. */
  maintenanceOnly: boolean;
  freezes: readonly FreezeConfig[];
}

export interface FreezeConfig {
  name: string;
  effect: "deny" | "allow";
  /** Null: all. */
  services: readonly string[] | null;
  schedule: Schedule;
  reason: string;
}

export const CHANGE_CONTROL_FIELDS = {
  changeControl: ["standard", "normal", "emergency", "zone", "maintenanceOnly", "freezes"],
  "changeControl.standard": ["maxStep", "maxServices", "minShare"],
  "changeControl.normal": ["maxPending", "expireAfter"],
  "changeControl.emergency": ["approveWithin"],
  "changeControl.freezes.NAME": [
    "effect",
    "services",
    "from",
    "to",
    "zone",
    "repeat",
    "every",
    "days",
    "on",
    "until",
    "reason",
  ],
} as const;

const upToAMonth = { minMs: 60_000, maxMs: 31 * DAY_MS, range: "1m to 31d" };

const wholeNumber = (min: number, max: number): v.ValueKind<number> => ({
  expected: `a whole number from ${min} to ${max}`,
  parse(text) {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  },
});

const zone: v.ValueKind<string> = {
  expected: "an IANA time zone such as Europe/Berlin or UTC",
  parse: (text) => (isZone(text) ? text : undefined),
};

const localTime: v.ValueKind<string> = {
  expected: "a local date and time without a zone such as 2026-12-20T18:00; `zone` says where",
  parse: (text) => (isLocalTime(text.replace(" ", "T")) ? text.replace(" ", "T") : undefined),
};

const localDate: v.ValueKind<string> = {
  expected: "a date such as 2026-12-31",
  parse: (text) => (isLocalTime(`${text}T00:00`) ? text : undefined),
};

const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const weekday: v.ValueKind<number> = {
  expected: `one of ${WEEKDAYS.join(", ")}`,
  parse(text) {
    const index = (WEEKDAYS as readonly string[]).indexOf(text.toLowerCase());
    return index < 0 ? undefined : index + 1;
  },
};

const yesNo: v.ValueKind<boolean> = {
  expected: "true or false",
  parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
};

/** `services` null: they could not be read, so nothing can be held against them. Undefined when anything is wrong. */
export function readChangeControl(
  root: Section,
  services: ReadonlyMap<string, { policy: { hysteresisPpm: number } }> | null,
): ChangeControl | undefined {
  const none = {
    standard: { maxStepPpm: null, maxServices: MAX_SERVICES, minSharePpm: 0 },
    normal: { maxPending: 16, expireAfterMs: DAY_MS },
    emergency: { approveWithinMs: DAY_MS },
    zone: "UTC",
    maintenanceOnly: false,
    freezes: [],
  };
  if (!root.has("changeControl")) return none;
  const section = root.section("changeControl", CHANGE_CONTROL_FIELDS.changeControl);
  if (section === undefined) return undefined;
  const sub = (name: "standard" | "normal" | "emergency") =>
    section.has(name) ? section.section(name, CHANGE_CONTROL_FIELDS[`changeControl.${name}`]) : null;
  const [standard, normal, emergency] = [sub("standard"), sub("normal"), sub("emergency")];
  if (standard === undefined || normal === undefined || emergency === undefined) return undefined;
  const maxStepPpm = standard?.has("maxStep") ? standard.value("maxStep", v.shareAboveZero, REQUIRED) : null;
  for (const [name, { policy }] of services ?? []) {
    if (maxStepPpm == null || policy.hysteresisPpm <= maxStepPpm) continue;
    const found = `maxStep ${maxStepPpm / 10_000}% below the hysteresis ${policy.hysteresisPpm / 10_000}% of ${name}: no step could ever be taken`;
    standard?.reject("maxStep", found, "a maxStep not below any hysteresis");
    return undefined;
  }
  const maxServices = value(standard, "maxServices", wholeNumber(1, MAX_SERVICES), MAX_SERVICES);
  const minSharePpm = value(standard, "minShare", v.share, 0);
  const maxPending = value(normal, "maxPending", wholeNumber(1, 256), 16);
  const expireAfterMs = value(normal, "expireAfter", v.duration(upToAMonth), DAY_MS);
  const approveWithinMs = value(emergency, "approveWithin", v.duration(upToAMonth), DAY_MS);
  const home = section.value("zone", zone, "UTC");
  const maintenanceOnly = section.value("maintenanceOnly", yesNo, false);
  const freezes = readFreezes(section, home ?? "UTC", services === null ? null : [...services.keys()]);
  if (maxStepPpm === undefined || maxServices === undefined || minSharePpm === undefined) return undefined;
  if (maxPending === undefined || expireAfterMs === undefined || approveWithinMs === undefined) return undefined;
  if (home === undefined || maintenanceOnly === undefined || freezes === undefined) return undefined;
  return {
    standard: { maxStepPpm, maxServices, minSharePpm },
    normal: { maxPending, expireAfterMs },
    emergency: { approveWithinMs },
    zone: home,
    maintenanceOnly,
    freezes,
  };
}

function value<T>(section: Section | null, name: string, kind: v.ValueKind<T>, standard: T): T | undefined {
  return section === null ? standard : section.value(name, kind, standard);
}

function readFreezes(
  parent: Section,
  home: string,
  serviceNames: readonly string[] | null,
): readonly FreezeConfig[] | undefined {
  if (!parent.has("freezes")) return [];
  const section = parent.section("freezes", null);
  if (section === undefined) return undefined;
  const names = section.names();
  if (names.length > MAX_FREEZES) {
    section.reject(undefined, `${names.length} freezes`, `at most ${MAX_FREEZES}`);
    return undefined;
  }
  const read = names.map((name) => {
    if (!v.NAME_PATTERN.test(name)) section.rejectKey(name, JSON.stringify(name.slice(0, 140)), v.name.expected);
    const one = section.section(name, CHANGE_CONTROL_FIELDS["changeControl.freezes.NAME"]);
    return one === undefined ? undefined : readFreeze(name, one, home, serviceNames);
  });
  return read.includes(undefined) ? undefined : (read as FreezeConfig[]);
}

function readFreeze(
  name: string,
  section: Section,
  home: string,
  serviceNames: readonly string[] | null,
): FreezeConfig | undefined {
  const effect = section.value("effect", v.oneOf("deny", "allow"), "deny");
  const service: v.ValueKind<string> = {
    expected: "a service of this file",
    parse: (text) => (serviceNames === null || serviceNames.includes(text) ? text : undefined),
  };
  const services = section.has("services") ? section.list("services", service, MAX_SERVICES) : null;
  const start = section.value("from", localTime, REQUIRED);
  const end = section.value("to", localTime, REQUIRED);
  const own = section.value("zone", zone, home);
  const reason = section.value("reason", v.text("a reason", 1000), name);
  const repeat = readRepeat(section);
  if (effect === undefined || services === undefined || start === undefined || end === undefined) return undefined;
  if (own === undefined || reason === undefined || repeat === undefined) return undefined;
  const lengthMs = Date.parse(`${end}Z`) - Date.parse(`${start}Z`);
  if (!(lengthMs > 0 && lengthMs <= MAX_SPAN_DAYS * DAY_MS)) {
    section.reject(
      "to",
      `an end ${lengthMs > 0 ? "more than a year after" : "not after"} from`,
      "an end after from, within a year",
    );
    return undefined;
  }
  return { name, effect, services, schedule: { zone: own, start, end, repeat }, reason };
}

/** Null: once. */
function readRepeat(section: Section): Repeat | null | undefined {
  const once = !section.has("repeat");
  const belongs: Record<string, string> = { days: "weekly", on: "monthly" };
  const unit = once ? null : section.value("repeat", v.oneOf("daily", "weekly", "monthly", "yearly"), REQUIRED);
  for (const field of ["every", "until", "days", "on"]) {
    const fits = unit !== null && (belongs[field] === undefined || belongs[field] === unit);
    if (section.has(field) && !fits && unit !== undefined) {
      section.reject(
        field,
        `\`${field}\` ${unit === null ? "without repeat" : `with repeat: ${unit}`}`,
        `it only with repeat${belongs[field] === undefined ? "" : `: ${belongs[field]}`}`,
      );
      return undefined;
    }
  }
  if (unit === null) return null;
  const every = section.value("every", wholeNumber(1, 1000), 1);
  const weekdays = section.list("days", weekday, 7);
  const monthly = section.value("on", v.oneOf("day", "weekday", "lastDay", "lastWeekday"), "day");
  const untilDate = section.has("until") ? section.value("until", localDate, REQUIRED) : null;
  if (unit === undefined || every === undefined || weekdays === undefined) return undefined;
  if (monthly === undefined || untilDate === undefined) return undefined;
  return { unit, every, weekdays: [...new Set(weekdays)], monthly, untilDate };
}
