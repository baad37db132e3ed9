import type { TargetWindow } from "../estate/estate.ts";

/** Points of share with sign, from ppm: `−40.0 pts`. */
export function points(ppm: number): string {
  return `${ppm < 0 ? "−" : "+"}${(Math.abs(ppm) / 10_000).toFixed(1)} pts`;
}

export function percent(ppm: number): string {
  return `${(ppm / 10_000).toFixed(1)} %`;
}

export function rate(rps: number): string {
  return `${rps >= 100 ? Math.round(rps) : Math.round(rps * 10) / 10} rps`;
}

/** Length of time in the largest unit that keeps it readable. */
export function span(ms: number): string {
  if (ms >= 2 * 3_600_000) return `${Math.round(ms / 360_000) / 10} h`;
  if (ms >= 60_000) return `${Math.round(ms / 6_000) / 10} min`;
  return `${Math.round(ms / 100) / 10} s`;
}

/** UTC time of day, with the date where it is not the day of `nowMs`. */
export function time(ms: number, nowMs: number): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return ms > 0 ? "open end" : "ever";
  const iso = new Date(ms).toISOString();
  const day = new Date(nowMs).toISOString().slice(0, 10);
  return iso.startsWith(day) ? iso.slice(11, 16) : `${iso.slice(0, 10)} ${iso.slice(11, 16)}`;
}

/** `CHG0031007 on db-site-b 09:00–11:30 (pay-app-b → db-site-b)`. */
export function windowText(window: TargetWindow, nowMs: number): string {
  const end = Number.isFinite(window.endMs) ? time(window.endMs, nowMs) : "open end";
  const path = window.path.length > 1 ? ` (${window.path.join(" → ")})` : "";
  return `${window.ticket} on ${window.ciName} ${time(window.startMs, nowMs)}–${end}${path}`;
}

/** The target's name without the service's own as prefix: `payments-site-b` of `payments` is `site-b`. */
export function shortName(target: string, service: string): string {
  const rest = target.slice(service.length + 1);
  return target.startsWith(service) && /^[._:|-]$/.test(target.charAt(service.length)) && rest !== "" ? rest : target;
}
