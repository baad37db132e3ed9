import type { Io } from "../control/cli/io.ts";
import type { ServiceFigures } from "./tally.ts";

export interface ScreenState {
  /** Demo seconds. */
  second: number;
  /** Planning time. */
  calendarMs: number;
  epoch: number | null;
  /** At least one; each becomes one or more lines. */
  whys: readonly string[];
  windowSeconds: number;
  services: Record<string, ServiceFigures>;
  totals: { requests: number; errors: number; sessionsMoved: number };
  /** Targets that are out of service, with the reason. */
  down: ReadonlySet<string>;
}

/** Seconds between two reports where there is no terminal to refresh. */
const PLAIN_EVERY_SECONDS = 5;

/** Shows the demo's state: on a terminal in place, else as plain lines. Messages stay above it. */
export class Screen {
  readonly #io: Io;
  readonly #write: (text: string) => void;
  readonly #inPlace: boolean;
  #frame: string[] = [];
  #lastPlain = Number.NEGATIVE_INFINITY;

  /** With `toStderr` stdout is left to the result. */
  constructor(io: Io, options: { toStderr: boolean }) {
    this.#io = io;
    this.#write = options.toStderr ? io.err : io.out;
    this.#inPlace = io.color && !options.toStderr;
  }

  message(text: string): void {
    this.#write(this.#erase() + text);
    if (this.#frame.length > 0) this.#write(this.#frame.join("\n"));
  }

  update(state: ScreenState): void {
    if (!this.#inPlace) {
      if (state.second - this.#lastPlain < PLAIN_EVERY_SECONDS) return;
      this.#lastPlain = state.second;
      this.#write(plainLines(state).join("\n"));
      return;
    }
    const erase = this.#erase();
    this.#frame = frameOf(state, process.stdout.columns);
    this.#write(erase + this.#frame.join("\n"));
  }

  /** What stays as the last thing on the screen. */
  closing(text: string): void {
    this.#frame = [];
    this.#write(text);
  }

  /** The last line of stdout. */
  result(text: string): void {
    this.#io.out(text);
  }

  #erase(): string {
    return this.#inPlace && this.#frame.length > 0 ? `\x1b[${this.#frame.length}A\r\x1b[0J` : "";
  }
}

/** A terminal that does not tell its width (0, or not at all) is taken to have so many columns. */
const DEFAULT_COLUMNS = 100;
/** Lines that one reason may take. */
const MAX_WHY_LINES = 3;

/** The lines of one refresh, each no wider than the terminal: a line that wrapped by itself could not be erased again. */
export function frameOf(state: ScreenState, columns: number | undefined): string[] {
  const width = columns || DEFAULT_COLUMNS;
  const rows = table(state).map((line) => line.slice(0, width));
  return [...rows, ...state.whys.flatMap((why) => wrap(why, width))];
}

/** At spaces where there are any; what is left after the last line is cut with an ellipsis. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width && lines.length < MAX_WHY_LINES - 1) {
    const space = rest.lastIndexOf(" ", width);
    const end = space > 4 ? space : width;
    lines.push(rest.slice(0, end));
    rest = `    ${rest.slice(end).trimStart()}`;
  }
  lines.push(rest.length > width ? `${rest.slice(0, width - 1)}…` : rest);
  return lines;
}

function table(state: ScreenState): string[] {
  const names = Object.values(state.services).flatMap((service) => Object.keys(service.targets));
  const width = Math.max(6, ...names.map((name) => name.length));
  const lines = [
    `second ${state.second.toFixed(0).padStart(4)}   calendar ${calendar(state.calendarMs)}   epoch ${state.epoch ?? "none"}`,
    `${"".padEnd(width + 2)}    base  planned   actual     rps      p50      p99  errors`,
  ];
  for (const [service, figures] of Object.entries(state.services)) {
    lines.push(service);
    for (const [name, target] of Object.entries(figures.targets)) {
      const rps = target.requests / state.windowSeconds;
      const cells = [
        percent(target.base),
        percent(target.planned),
        percent(target.actual),
        rps.toFixed(0).padStart(7),
        milliseconds(target.p50_ms),
        milliseconds(target.p99_ms),
        String(target.errors).padStart(7),
      ];
      lines.push(`  ${name.padEnd(width)}${cells.join("")}${state.down.has(name) ? "  out of service" : ""}`);
    }
  }
  const { requests, errors, sessionsMoved } = state.totals;
  lines.push(`in all ${requests} requests, ${errors} errors, ${sessionsMoved} sessions moved`);
  return lines;
}

function plainLines(state: ScreenState): string[] {
  const head = `[${state.second.toFixed(0).padStart(4)} s] ${calendar(state.calendarMs)} epoch ${state.epoch ?? "none"}`;
  return Object.entries(state.services).map(([service, figures]) => {
    const targets = Object.entries(figures.targets).map(([name, target]) => {
      const errors = target.errors > 0 ? ` errors ${target.errors}` : "";
      const out = state.down.has(name) ? " out of service" : "";
      return `${name} ${short(target.base)}/${short(target.planned)}/${short(target.actual)} p50 ${short(target.p50_ms, "")} p99 ${short(target.p99_ms, "")} ms${errors}${out}`;
    });
    return `${head} ${service} (base/planned/actual %): ${targets.join("; ")}`;
  });
}

function calendar(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")}Z`;
}

function percent(share: number | null): string {
  return (share === null ? "–" : `${(share * 100).toFixed(1)} %`).padStart(9);
}

function milliseconds(ms: number | null): string {
  return (ms === null ? "–" : `${ms.toFixed(0)} ms`).padStart(9);
}

function short(value: number | null, unit: "" | "share" = "share"): string {
  if (value === null) return "–";
  return unit === "share" ? (value * 100).toFixed(1) : value.toFixed(0);
}
