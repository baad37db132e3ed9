import type { LoadHistory } from "../../ingest/load-history.ts";

/** Newest steps of a kept past that may be told anew: an hour and more of late readings, at steps of five minutes. */
export const MAX_TAKEN_BACK_STEPS = 24;
/** A kept past has room for this many steps more, spread over twice as many so that not all services are told anew at once. */
const LEAST_ROOM_STEPS = 144;
const ROOM_SPREAD_STEPS = 288;
/** Of a kept past: a reading and its logarithm per step, and what the forecast bank remembers. */
const BYTES_PER_STEP = 16;
const BYTES_PER_SERVICE = 32 << 10;

/** The number of a service that is not kept. */
export const NOT_KEPT = -1;

interface Entry {
  /** Under this number the worker keeps the past. */
  id: number;
  /** Who keeps it. */
  holder: object;
  /** End of the newest step that was told with a reading of the history or a gap in it; what follows up to `toldMs` was not there yet. */
  endMs: number;
  toldMs: number;
  lastValue: number;
  rewrites: number;
  /** When its room is used up. */
  fullMs: number;
}

export interface KeptPastsOptions {
  stepMs: number;
  /** Steps of past that a service is told at first. */
  historySteps: number;
  /** What all pasts together may take of memory, bytes. Services beyond it are told whole every time. */
  maxBytes: number;
}

/**
 * What the inference workers keep of each service's past, so that a service is told only what is new. A copy is continued from the newest
 * step that still holds; where earlier steps were changed, too much of it was a guess, or its room is used up, it is told whole.
 */
export class KeptPasts {
  readonly #options: KeptPastsOptions;
  readonly #maxServices: number;
  readonly #entries = new Map<string, Entry>();
  /** By holder, what it may throw away. */
  readonly #released = new Map<object, number[]>();
  #history: LoadHistory | null = null;
  #nextId = 0;

  constructor(options: KeptPastsOptions) {
    this.#options = options;
    const most = options.historySteps + LEAST_ROOM_STEPS + ROOM_SPREAD_STEPS;
    this.#maxServices = Math.floor(options.maxBytes / (most * BYTES_PER_STEP + BYTES_PER_SERVICE));
  }

  /** Before services are asked for: copies of another history, and of services that are asked no more, hold nothing. */
  begin(history: LoadHistory, services: readonly string[]): void {
    if (history !== this.#history) this.forget([...this.#entries.keys()]);
    this.#history = history;
    if (this.#entries.size <= services.length) return;
    const asked = new Set(services);
    this.forget([...this.#entries.keys()].filter((name) => !asked.has(name)));
  }

  /** Who keeps the past of a service; undefined when nobody does. */
  holderOf(service: string): object | undefined {
    return this.#entries.get(service)?.holder;
  }

  /** Start of the first step that has to be told to `holder`, and whether that is all of it. */
  toTell(service: string, holder: object, originMs: number): { fromMs: number; whole: boolean } {
    const history = this.#history!;
    const { stepMs, historySteps } = this.#options;
    const standing = history.standing(service);
    const firstMs = originMs - historySteps * stepMs;
    if (standing === null) return { fromMs: originMs, whole: true };
    const entry = this.#entries.get(service);
    const wholeFromMs = Math.min(originMs, Math.max(firstMs, standing.startMs));
    if (
      entry === undefined ||
      entry.holder !== holder ||
      entry.rewrites !== standing.rewrites ||
      entry.endMs > originMs ||
      originMs > entry.fullMs
    )
      return { fromMs: wholeFromMs, whole: true };
    const holds = Object.is(history.at(service, entry.endMs - stepMs), entry.lastValue);
    const fromMs = holds ? entry.endMs : entry.endMs - stepMs;
    if (entry.toldMs - fromMs > MAX_TAKEN_BACK_STEPS * stepMs) return { fromMs: wholeFromMs, whole: true };
    return { fromMs, whole: false };
  }

  /** What was decided goes to `holder`. @returns the number under which it keeps the past, or NOT_KEPT */
  told(service: string, holder: object, originMs: number, whole: boolean): number {
    const history = this.#history!;
    const { stepMs } = this.#options;
    const standing = history.standing(service);
    if (standing === null) return NOT_KEPT;
    let entry = this.#entries.get(service);
    if (entry === undefined && this.#entries.size >= this.#maxServices) return NOT_KEPT;
    if (entry !== undefined && entry.holder !== holder) {
      this.forget([service]);
      entry = undefined;
    }
    const endMs = Math.min(originMs, standing.endMs);
    const lastValue = history.at(service, endMs - stepMs);
    const { rewrites } = standing;
    if (entry === undefined) {
      entry = { id: this.#nextId++, holder, endMs, toldMs: originMs, lastValue, rewrites, fullMs: 0 };
      this.#entries.set(service, entry);
    } else {
      // In place: ten thousand objects a step would be the garbage collector's.
      entry.endMs = endMs;
      entry.toldMs = originMs;
      entry.lastValue = lastValue;
      entry.rewrites = rewrites;
    }
    if (whole) entry.fullMs = originMs + (LEAST_ROOM_STEPS + ((entry.id * 61) % ROOM_SPREAD_STEPS)) * stepMs;
    return entry.id;
  }

  /** Steps for which whoever keeps the past of a service needs room after `originMs`. */
  roomSteps(service: string, originMs: number): number {
    const entry = this.#entries.get(service);
    return entry === undefined ? 0 : Math.max(0, (entry.fullMs - originMs) / this.#options.stepMs);
  }

  /** Nobody knows what a worker has of these. */
  forget(services: readonly string[]): void {
    for (const service of services) {
      const entry = this.#entries.get(service);
      if (entry === undefined) continue;
      this.#entries.delete(service);
      const released = this.#released.get(entry.holder);
      if (released === undefined) this.#released.set(entry.holder, [entry.id]);
      else released.push(entry.id);
    }
  }

  /** What `holder` may throw away, once; a holder that is gone is named by the caller to be forgotten. */
  takeReleased(holder: object): number[] {
    const released = this.#released.get(holder) ?? [];
    this.#released.delete(holder);
    return released;
  }
}
