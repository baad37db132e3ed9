import { MAX_SPAN_DAYS } from "../../common/recurrence.ts";
import { isZone } from "../../common/zoned.ts";
import type { BallastConfig } from "../config/config.ts";
import type { Finding } from "../ingest/finding.ts";
import type { EstateRecords, ScheduleSpanRecord } from "../ingest/records.ts";
import type { FreezeWindow } from "./freeze.ts";

/** Most windows of one calendar; the rest would be dropped silently, so it is an error finding. */
const MAX_WINDOWS = 2_000;

/**
 * The freeze windows of ballast.yaml and of the estate's change calendar. Blackout schedules deny; maintenance schedules
 * allow, and only with `maintenanceOnly` (else one of them would freeze everything outside of it). Calendar windows hold
 * for all services. An entry that cannot be kept is an error finding, never a silent gap.
 */
export function freezeWindows(
  { changeControl }: Pick<BallastConfig, "changeControl">,
  records: Pick<EstateRecords, "schedules" | "spans">,
): { windows: FreezeWindow[]; findings: Finding[] } {
  const windows: FreezeWindow[] = changeControl.freezes.map((freeze) => ({
    ...freeze,
    id: `policy:${freeze.name}`,
    source: "policy",
  }));
  const findings: Finding[] = [];
  const schedules = new Map((records.schedules ?? []).map((schedule) => [schedule.sysId, schedule]));
  const seen = new Set<string>();
  for (const span of records.spans ?? []) {
    const schedule = schedules.get(span.schedule.sysId);
    const type = span.type !== "other" ? span.type : (schedule?.type ?? "other");
    if (type === "other" || (type === "maintenance" && !changeControl.maintenanceOnly)) continue;
    const fault = (what: string) =>
      findings.push({ severity: "error", code: "BAD_SCHEDULE", message: what, provenance: span.provenance });
    const name = schedule === undefined || schedule.name === span.name ? span.name : `${schedule.name}: ${span.name}`;
    const zone = span.utc ? "UTC" : schedule?.zone || changeControl.zone;
    if (!isZone(zone)) {
      fault(`schedule entry ${name}: ${JSON.stringify(zone)} is no time zone; it freezes nothing`);
    } else if (tooLong(span)) {
      fault(`schedule entry ${name} is longer than a year; it freezes nothing`);
    } else if (windows.length >= MAX_WINDOWS) {
      fault(`more than ${MAX_WINDOWS} freeze windows; the rest is not kept`);
      break;
    } else if (!seen.has(span.sysId)) {
      seen.add(span.sysId);
      windows.push({
        id: `calendar:${span.sysId}`,
        name,
        source: "calendar",
        effect: type === "blackout" ? "deny" : "allow",
        services: null,
        schedule: { zone, start: span.start, end: span.end, repeat: span.repeat },
        reason: name,
      });
    }
  }
  return { windows, findings };
}

function tooLong({ start, end }: ScheduleSpanRecord): boolean {
  return Date.parse(`${end}Z`) - Date.parse(`${start}Z`) > MAX_SPAN_DAYS * 86_400_000;
}
