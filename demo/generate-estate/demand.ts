import { SeededRandom } from "../../control/features/seeded-random.ts";

/** The rhythm of one service of the trading back office. Hours are UTC, rates requests per second. */
export interface Rhythm {
  service: string;
  /** Mean rate at the higher of the two daily peaks of a full working day. */
  peakRps: number;
  morningPeakHour: number;
  afternoonPeakHour: number;
}

export const RHYTHMS: readonly Rhythm[] = [
  { service: "payments", peakRps: 132, morningPeakHour: 10, afternoonPeakHour: 15 },
  { service: "quotes", peakRps: 170, morningPeakHour: 9.75, afternoonPeakHour: 15.25 },
  { service: "ledger", peakRps: 56, morningPeakHour: 10.25, afternoonPeakHour: 14.75 },
];

/** Sunday to Saturday. */
const DAY_LEVEL = [0.28, 1, 1, 1.02, 1, 0.95, 0.33];
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** Expected requests per second at a time: a night level, the working day from about 7 to 18, and two peaks. No noise. */
export function expectedRps(rhythm: Rhythm, timeMs: number): number {
  const hour = (((timeMs % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS;
  const day = DAY_LEVEL[new Date(timeMs).getUTCDay()]!;
  const working = 1 / (1 + Math.exp(-(hour - 7.25) / 0.45)) / (1 + Math.exp((hour - 18) / 0.6));
  const peak = Math.max(bell(hour, rhythm.morningPeakHour, 0.95), 0.96 * bell(hour, rhythm.afternoonPeakHour, 0.95));
  return rhythm.peakRps * day * (0.18 + 0.47 * working + 0.35 * peak);
}

function bell(hour: number, centre: number, width: number): number {
  return Math.exp(-0.5 * ((hour - centre) / width) ** 2);
}

export interface HistoryOptions {
  seed: number;
  /** End of the last step. */
  endMs: number;
  stepMs: number;
  steps: number;
  /** In the last `shiftDays` days the daily rhythm comes `shiftHours` later (negative: earlier). */
  shiftDays: number;
  shiftHours: number;
}

/** One service's noisy history, oldest step first: a level that differs by day, a slow wander and a little unrest. */
export function loadHistory(rhythm: Rhythm, options: HistoryOptions): number[] {
  const random = new SeededRandom(options.seed ^ hash(rhythm.service));
  const startMs = options.endMs - options.steps * options.stepMs;
  const shiftFromMs = options.endMs - options.shiftDays * DAY_MS;
  const values: number[] = [];
  let wander = 0;
  let dayLevel = 1;
  let day = Number.NaN;
  for (let i = 0; i < options.steps; i++) {
    const stepMs = startMs + i * options.stepMs;
    const today = Math.floor(stepMs / DAY_MS);
    if (today !== day) {
      day = today;
      dayLevel = Math.exp(0.015 * random.normal());
    }
    wander = 0.85 * wander + 0.01 * random.normal();
    const shownMs = stepMs >= shiftFromMs ? stepMs - options.shiftHours * HOUR_MS : stepMs;
    const middleMs = shownMs + options.stepMs / 2;
    values.push(Math.max(0, expectedRps(rhythm, middleMs) * dayLevel * (1 + wander + 0.012 * random.normal())));
  }
  return values;
}

/** The columns as `time,SERVICE,…`; times are the starts of the steps. */
export function historyCsv(options: HistoryOptions): string {
  const columns = RHYTHMS.map((rhythm) => loadHistory(rhythm, options));
  const lines = [["time", ...RHYTHMS.map((r) => r.service)].join(",")];
  const startMs = options.endMs - options.steps * options.stepMs;
  for (let i = 0; i < options.steps; i++) {
    const time = new Date(startMs + i * options.stepMs).toISOString().replace(".000Z", "Z");
    lines.push([time, ...columns.map((column) => column[i]!.toFixed(1))].join(","));
  }
  return `${lines.join("\n")}\n`;
}

/** FNV-1a, so that the noise of one service does not follow that of another. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
