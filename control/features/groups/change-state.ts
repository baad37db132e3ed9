import type { FeatureGroup, GroupColumn } from "./group.ts";
import type { ServiceWindow } from "./world.ts";

const HOUR_MS = 3_600_000;
/** Hours to and since a change are told up to here. */
const MAX_HOURS = 24;

const COLUMNS: readonly GroupColumn[] = [
  { name: "change_share", unit: "share of capacity", known: "advance" },
  { name: "change_cycle_share", unit: "share of capacity", known: "advance" },
  { name: "change_freeze", unit: "0, 1", known: "advance" },
  { name: "change_hours_to", unit: "hours, 0 … 24", known: "advance" },
  { name: "change_hours_since", unit: "hours, 0 … 24", known: "advance" },
  { name: "change_incident_share", unit: "share of capacity", known: "late" },
  { name: "change_incident_cycle_share", unit: "share of capacity", known: "late" },
  { name: "change_incident_hours", unit: "hours open, 0 … 24", known: "late" },
];

/**
 * Planned changes and maintenance as they were known at the origin, and incidents that were open there. Nobody knows when an open
 * incident will end, so it holds for the whole horizon, whatever its ticket says of it today. The `cycle` columns tell of the cycle
 * one season before, that the anchor repeats: what fell out then is no habit of the series.
 */
export const changeState: FeatureGroup = {
  name: "change",
  version: 1,
  fit: () => ({}),
  columns: () => COLUMNS,
  needs: () => ["windows"],
  prepare: (_, world, service) => {
    const windows = [...(world.windows?.get(service) ?? [])].sort((a, b) => a.startMs - b.startMs);
    return ({ originMs, season, horizon, stepMs }) => {
      const known = windows.filter((one) => one.knownAtMs <= originMs).map((one) => asKnown(one, originMs));
      const planned = known.filter(({ kind }) => kind === "change" || kind === "maintenance");
      const incidents = known.filter(({ kind }) => kind === "incident");
      const open = incidents.filter(({ startMs, endMs }) => startMs <= originMs && endMs > originMs);
      const longest = open.length === 0 ? 0 : (originMs - Math.min(...open.map(({ startMs }) => startMs))) / HOUR_MS;
      const cycleMs = season * Math.ceil(horizon / season) * stepMs;
      return (h, row, at) => {
        const ms = originMs + h * stepMs;
        let to = MAX_HOURS;
        let since = MAX_HOURS;
        for (const { startMs, endMs } of planned) {
          if (startMs >= ms) to = Math.min(to, (startMs - ms) / HOUR_MS);
          if (endMs <= ms) since = Math.min(since, (ms - endMs) / HOUR_MS);
        }
        row[at] = shareAt(planned, ms);
        row[at + 1] = shareAt(planned, ms - cycleMs);
        row[at + 2] = known.some(({ kind, startMs, endMs }) => kind === "freeze" && startMs <= ms && ms < endMs)
          ? 1
          : 0;
        row[at + 3] = to;
        row[at + 4] = since;
        row[at + 5] = shareAt(open, originMs);
        row[at + 6] = shareAt(incidents, ms - cycleMs);
        row[at + 7] = Math.min(MAX_HOURS, longest);
      };
    };
  },
};

function asKnown(window: ServiceWindow, originMs: number): ServiceWindow {
  return window.endKnownAtMs <= originMs ? window : { ...window, endMs: Number.POSITIVE_INFINITY };
}

/** Windows that overlap take each its share of what the others leave. */
function shareAt(windows: readonly ServiceWindow[], ms: number): number {
  let left = 1;
  for (const { startMs, endMs, share } of windows) if (startMs <= ms && ms < endMs) left *= 1 - share;
  return 1 - left;
}
