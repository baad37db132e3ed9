/** Offsets of zones change at quarter hours only, so one is looked up per quarter hour; a year of them fits. */
const QUARTER_MS = 900_000;
const MAX_QUARTERS = 40_000;
const MINUTE_MS = 60_000;

export interface LocalTime {
  /** YYYY-MM-DD. */
  date: string;
  /** 0 = Sunday. */
  weekday: number;
  /** 0 ≤ h < 24. */
  hour: number;
}

/** Wall clock of a zone. Throws RangeError for a zone that Intl does not know. */
export class LocalClock {
  readonly #format: Intl.DateTimeFormat | null;
  readonly #offsets = new Map<number, number>();

  constructor(timeZone = "UTC") {
    const options = { timeZone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric" } as const;
    this.#format =
      timeZone === "UTC" ? null : new Intl.DateTimeFormat("en-US", { ...options, hour: "numeric", minute: "numeric" });
  }

  at(ms: number): LocalTime {
    const local = new Date(ms + this.#offsetMs(ms));
    return {
      date: local.toISOString().slice(0, 10),
      weekday: local.getUTCDay(),
      hour: local.getUTCHours() + local.getUTCMinutes() / 60,
    };
  }

  #offsetMs(ms: number): number {
    if (this.#format === null) return 0;
    const quarter = Math.floor(ms / QUARTER_MS);
    let offset = this.#offsets.get(quarter);
    if (offset === undefined) {
      const instant = quarter * QUARTER_MS;
      const part: Record<string, number> = {};
      for (const { type, value } of this.#format.formatToParts(instant)) part[type] = Number(value);
      const wall = Date.UTC(part.year!, part.month! - 1, part.day!, part.hour!, part.minute!);
      offset = Math.round((wall - instant) / MINUTE_MS) * MINUTE_MS;
      if (this.#offsets.size >= MAX_QUARTERS) this.#offsets.clear();
      this.#offsets.set(quarter, offset);
    }
    return offset;
  }
}
