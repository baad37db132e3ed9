import type { Week } from "./day-profile.ts";
import type { Moves } from "./movement.ts";
import type { EpochEvent } from "./server-event.ts";
import type { ServiceFigures } from "./tally.ts";

export interface LoadService {
  /** Its path is `/<name>`. */
  name: string;
  /** True: every request carries the cookie of one of the live sessions. */
  sessions: boolean;
  base: Record<string, number>;
  week: Week;
}

export interface LoadStart {
  kind: "start";
  /** Wall time of the first arrivals. */
  fromMs: number;
  seed: number;
  fleet: string;
  /** M of the weight tables. */
  slots: number;
  port: number;
  sessionCookie: string;
  clock: { startMs: number; anchorMs: number; rate: number };
  services: readonly LoadService[];
}

/** What the demo tells its load generator. */
export type LoadMessage =
  | LoadStart
  /** Totals and movement count requests that were due at or after `fromMs` (wall time). */
  | { kind: "count"; fromMs: number }
  | { kind: "epoch"; event: EpochEvent }
  /** Send no more, wait for the answers under way, report the result and end. */
  | { kind: "finish" };

/** What the load generator tells the demo: every second, and at the end as `result`. */
export interface LoadReport {
  kind: "second" | "result";
  /** Length of `recent`. */
  windowSeconds: number;
  services: Record<string, { recent: ServiceFigures; totals: ServiceFigures }>;
  moves: Moves;
  /** Wall time of the first answer over the steered route. */
  firstSteeredMs: number | null;
  /** Requests not sent because the generator itself came too late; not counted as anything else. */
  skipped: number;
}
