import { type Occurrence, occurrences, type Schedule } from "../../common/recurrence.ts";

/** A span in which weights stay as they are (deny), or outside of which they do (allow). Plain JSON. */
export interface FreezeWindow {
  /** `policy:NAME`, `calendar:SYS_ID` or `operator:NUMBER`. */
  id: string;
  name: string;
  source: "policy" | "calendar" | "operator";
  effect: "deny" | "allow";
  /** Null: all services. */
  services: readonly string[] | null;
  schedule: Schedule;
  reason: string;
  /** Who made it; for `operator`. */
  by?: string;
}

/** A break-glass: an explicit, recorded exemption for a time. */
export interface Exemption {
  id: string;
  /** Null: all services. */
  services: readonly string[] | null;
  /** Planning time. */
  fromMs: number;
  untilMs: number;
  by: string;
  reason: string;
}

export interface FreezeVerdict {
  frozen: boolean;
  /** The windows that deny, or the allow windows of which none is open. */
  by: readonly { id: string; name: string }[];
  /** Planning time up to which this verdict holds at least; Infinity when nothing more is on the calendar. */
  untilMs: number;
  /** Set when a break-glass is what lets changes pass. */
  exemption: Exemption | null;
  text: string;
}

/** How far ahead `untilMs` looks. */
const HORIZON_MS = 40 * 86_400_000;

interface Looked {
  fromMs: number;
  untilMs: number;
  open: Occurrence | null;
}

/**
 * Says at any time whether a service's weights are frozen. Deny beats allow; where allow windows exist for a service, all
 * time outside of them is frozen too. Deny windows are read as long as the clock change lets them be, allow windows as
 * short: in doubt nothing moves. An exemption beats both.
 *
 * Answers are kept per window until its next edge, since the planner asks twice a second.
 */
export class FreezeCalendar {
  readonly windows: readonly FreezeWindow[];
  readonly #looked = new Map<string, Looked>();

  constructor(windows: readonly FreezeWindow[]) {
    const ids = new Set(windows.map((window) => window.id));
    if (ids.size !== windows.length) throw new Error("two freeze windows with one id");
    this.windows = windows;
  }

  check(service: string, nowMs: number, exemptions: readonly Exemption[]): FreezeVerdict {
    const denies: FreezeWindow[] = [];
    const allows: FreezeWindow[] = [];
    let allowed = false;
    let untilMs = Number.POSITIVE_INFINITY;
    for (const window of this.windows) {
      if (window.services !== null && !window.services.includes(service)) continue;
      const looked = this.#look(window, nowMs);
      untilMs = Math.min(untilMs, looked.untilMs);
      if (window.effect === "deny") {
        if (looked.open !== null) denies.push(window);
      } else {
        allows.push(window);
        allowed ||= looked.open !== null;
      }
    }
    const by = (denies.length > 0 ? denies : allowed ? [] : allows).map(({ id, name }) => ({ id, name }));
    if (by.length === 0) return { frozen: false, by, untilMs, exemption: null, text: "no freeze" };
    const names = by.map(({ name }) => name).join(", ");
    const text = denies.length > 0 ? `frozen by ${names}` : `outside of ${names}`;
    const exemption =
      exemptions.find(
        ({ services, fromMs, untilMs: endMs }) =>
          (services === null || services.includes(service)) && fromMs <= nowMs && nowMs < endMs,
      ) ?? null;
    if (exemption === null) return { frozen: true, by, untilMs, exemption, text };
    return {
      frozen: false,
      by,
      untilMs: Math.min(untilMs, exemption.untilMs),
      exemption,
      text: `${text}; broken by ${exemption.by}: ${exemption.reason}`,
    };
  }

  /** What a window is at `nowMs`: its open occurrence, or null, and the time of its next edge. */
  occurrence(window: FreezeWindow, nowMs: number): { open: Occurrence | null; untilMs: number } {
    return this.#look(window, nowMs);
  }

  #look(window: FreezeWindow, nowMs: number): Looked {
    const kept = this.#looked.get(window.id);
    if (kept !== undefined && kept.fromMs <= nowMs && nowMs < kept.untilMs) return kept;
    const reading = window.effect === "deny" ? "widest" : "narrowest";
    const near = occurrences(window.schedule, nowMs, nowMs + HORIZON_MS, reading);
    const open = near.find(({ startMs, endMs }) => startMs <= nowMs && nowMs < endMs) ?? null;
    const next = near.find(({ startMs }) => startMs > nowMs);
    // A calendar without an edge in sight is looked at again when the horizon is reached.
    const untilMs = open?.endMs ?? next?.startMs ?? nowMs + HORIZON_MS;
    const looked = { fromMs: nowMs, untilMs, open };
    this.#looked.set(window.id, looked);
    return looked;
  }
}
