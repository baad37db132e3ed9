import { Temporal } from "temporal-polyfill";

/** A date and time of day without a zone, `2026-03-29T02:30` (seconds optional): what stands in a calendar. */
export type LocalTime = string;

const LOCAL = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$/;

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone !== "";
  } catch {
    return false;
  }
}

/** True for a local time that the calendar has: not the 30th of February, not 24:30. */
export function isLocalTime(text: string): boolean {
  if (!LOCAL.test(text)) return false;
  try {
    return Temporal.PlainDateTime.from(text, { overflow: "reject" }) !== null;
  } catch {
    return false;
  }
}

/**
 * Which instant a local time means on the days when clocks are changed.
 *
 * A time that the clock skips means the moment of the change, whatever is asked for. A time that the clock shows twice means
 * its first showing with `first`, its second with `last`.
 */
export function instantOf(local: Temporal.PlainDateTime, zone: string, which: "first" | "last"): number {
  const earlier = local.toZonedDateTime(zone, { disambiguation: "earlier" });
  const later = local.toZonedDateTime(zone, { disambiguation: "later" });
  if (earlier.epochMilliseconds === later.epochMilliseconds) return earlier.epochMilliseconds;
  const skipped = Temporal.PlainDateTime.compare(earlier.toPlainDateTime(), local) !== 0;
  if (!skipped) return (which === "first" ? earlier : later).epochMilliseconds;
  const change = earlier.getTimeZoneTransition("next");
  if (change === null) throw new Error(`${zone} skips ${local.toString()} without a transition`);
  return change.epochMilliseconds;
}

/** The local date in a zone at an instant. */
export function dateAt(ms: number, zone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(Math.round(ms)).toZonedDateTimeISO(zone).toPlainDate();
}
