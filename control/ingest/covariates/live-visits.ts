import { randomBytes } from "node:crypto";
import { parseRequest, routeOf } from "./access-log-request.ts";
import { merged, nameOf, type VisitColumns } from "./visit-columns.ts";

export interface LiveVisitsOptions {
  /** Visits older than this before the newest are dropped, milliseconds. */
  keepMs: number;
  /** Visits are kept in buckets of this length; of each the newest `maxPerBucket` of a service. */
  bucketMs: number;
  /** A bucket ends this long before a multiple of `bucketMs`. */
  delayMs: number;
  maxPerBucket: number;
  /** Over all services; default 2,000,000 (50 MB). Beyond it the oldest bucket goes, and `wholeFromMs` rises. */
  maxVisits?: number;
  /** From a time of the log to the calendar that visits are asked for on. Default: the same. */
  timeOf?: (ms: number) => number;
  /** What clients are hashed with; the logs of one server share it. Default: one of its own. */
  key?: string;
}

const MAX_VISITS = 2_000_000;
/** Lines that the share of unreadable ones is judged over. */
const JUDGED_LINES = 1_000;
const MAX_UNREADABLE_SHARE = 0.1;
/** Services that may be named by a log; the rest counts as unreadable. */
const MAX_SERVICES = 4_096;
/** A line from further ahead is none: it would push out all that is held. */
const MAX_AHEAD_MS = 3_600_000;

/**
 * The last hour of route visits by service, from the lines of access logs as they are written. Holds no client's name and no path: clients
 * are named by a hash whose key is forgotten with the process, routes by a hash of their shape.
 */
export class LiveVisits {
  readonly #options: Required<LiveVisitsOptions>;
  /** By service and number of the bucket. */
  readonly #services = new Map<string, Map<number, Bucket>>();
  #held = 0;
  #newestMs = Number.NEGATIVE_INFINITY;
  /** Null before the first line and after a gap. */
  #wholeFromMs: number | null = null;
  #unreadable = 0;
  #read = 0;
  /** Share of unreadable lines of the last JUDGED_LINES, in two halves. */
  #judged = { lines: 0, bad: 0, before: 0 };

  constructor(options: LiveVisitsOptions) {
    const key = randomBytes(16).toString("hex");
    this.#options = { maxVisits: MAX_VISITS, timeOf: (ms) => ms, key, ...options };
  }

  /** Planning time of the newest visit; −Infinity before the first. */
  get newestMs(): number {
    return this.#newestMs;
  }

  /** From here on every visit is held; Infinity while nothing was read. */
  get wholeFromMs(): number {
    return this.#wholeFromMs ?? Number.POSITIVE_INFINITY;
  }

  get counts(): { read: number; unreadable: number; held: number } {
    return { read: this.#read, unreadable: this.#unreadable, held: this.#held };
  }

  /** True when the newest lines are no requests: the log has another format. */
  get unreadable(): boolean {
    const { lines, bad, before } = this.#judged;
    return bad + before > MAX_UNREADABLE_SHARE * (lines + JUDGED_LINES / 2) && bad > MAX_UNREADABLE_SHARE * lines;
  }

  /** @param service of a log whose lines name none @param line null: one that was too long @param nowMs of the calendar */
  add(line: string | null, service: string | null, nowMs: number): void {
    if (line?.trim() === "") return;
    const { bucketMs, delayMs, keepMs, maxPerBucket, timeOf, key } = this.#options;
    const request = line === null ? null : parseRequest(line);
    const name = service ?? request?.service ?? null;
    const atMs = request === null ? Number.NaN : timeOf(request.atMs);
    const buckets = name === null || !(atMs <= nowMs + MAX_AHEAD_MS) ? undefined : this.#bucketsOf(name);
    this.#judge(buckets !== undefined);
    if (request === null || buckets === undefined) return;
    this.#wholeFromMs ??= atMs;
    if (atMs > this.#newestMs) this.#newestMs = atMs;
    if (atMs < this.#newestMs - keepMs) return;
    const number = Math.floor((atMs + delayMs) / bucketMs);
    let bucket = buckets.get(number);
    if (bucket === undefined) {
      bucket = new Bucket();
      buckets.set(number, bucket);
      this.#dropBefore(this.#newestMs - keepMs);
    }
    this.#held += bucket.add(atMs, nameOf(request.client, key), nameOf(routeOf(request.path)), maxPerBucket);
    if (this.#held > this.#options.maxVisits) this.#dropOldest();
  }

  /** Lines were left out: what came before cannot be told whole any more. */
  gap(): void {
    this.#wholeFromMs = null;
  }

  /** Of one service within a span, whole buckets, in order of time. */
  between(service: string, fromMs: number, toMs: number): VisitColumns {
    const { bucketMs, delayMs } = this.#options;
    const [from, to] = [Math.floor((fromMs + delayMs) / bucketMs), Math.ceil((toMs + delayMs) / bucketMs)];
    const found = [...(this.#services.get(service) ?? [])]
      .filter(([number]) => number >= from && number <= to)
      .sort(([a], [b]) => a - b)
      .map(([, bucket]) => bucket.columns());
    // Lines are in the order in which requests ended, about; merging sorts them.
    return merged([EMPTY, ...found]);
  }

  #judge(readable: boolean): void {
    this.#read++;
    if (++this.#judged.lines > JUDGED_LINES / 2) this.#judged = { lines: 1, bad: 0, before: this.#judged.bad };
    if (readable) return;
    this.#unreadable++;
    this.#judged.bad++;
  }

  #bucketsOf(service: string): Map<number, Bucket> | undefined {
    let buckets = this.#services.get(service);
    if (buckets === undefined && this.#services.size < MAX_SERVICES) {
      buckets = new Map();
      this.#services.set(service, buckets);
    }
    return buckets;
  }

  #dropBefore(ms: number): void {
    const { bucketMs, delayMs } = this.#options;
    const first = Math.floor((ms + delayMs) / bucketMs);
    for (const [service, buckets] of this.#services) {
      for (const [number, bucket] of buckets)
        if (number < first) {
          this.#held -= bucket.length;
          buckets.delete(number);
        }
      if (buckets.size === 0) this.#services.delete(service);
    }
  }

  #dropOldest(): void {
    const { bucketMs, delayMs } = this.#options;
    const oldest = Math.min(...[...this.#services.values()].flatMap((buckets) => [...buckets.keys()]));
    const endMs = (oldest + 1) * bucketMs - delayMs;
    this.#dropBefore(endMs);
    this.#wholeFromMs = Math.max(this.#wholeFromMs ?? endMs, endMs);
  }
}

const EMPTY: VisitColumns = {
  atMs: new Float64Array(0),
  clients: new Float64Array(0),
  routes: new Float64Array(0),
};
const FIRST_CAPACITY = 64;

/** The newest visits of a service in one bucket, a ring once it is full. */
class Bucket {
  #at = new Float64Array(FIRST_CAPACITY);
  #clients = new Float64Array(FIRST_CAPACITY);
  #routes = new Float64Array(FIRST_CAPACITY);
  #added = 0;
  #capacity = FIRST_CAPACITY;

  get length(): number {
    return Math.min(this.#added, this.#capacity);
  }

  /** @returns by how many it grew: 1, or 0 where the oldest was overwritten */
  add(atMs: number, client: number, route: number, most: number): number {
    if (this.#added === this.#capacity && this.#capacity < most) this.#grow(Math.min(most, 2 * this.#capacity));
    const place = this.#added % this.#capacity;
    this.#at[place] = atMs;
    this.#clients[place] = client;
    this.#routes[place] = route;
    return this.#added++ < this.#capacity ? 1 : 0;
  }

  columns(): VisitColumns {
    const first = this.#added > this.#capacity ? this.#added % this.#capacity : 0;
    const ordered = (ring: Float64Array): Float64Array => {
      const out = new Float64Array(this.length);
      out.set(ring.subarray(first, this.length));
      out.set(ring.subarray(0, first), this.length - first);
      return out;
    };
    return { atMs: ordered(this.#at), clients: ordered(this.#clients), routes: ordered(this.#routes) };
  }

  #grow(capacity: number): void {
    const larger = (from: Float64Array) => {
      const out = new Float64Array(capacity);
      out.set(from);
      return out;
    };
    [this.#at, this.#clients, this.#routes] = [larger(this.#at), larger(this.#clients), larger(this.#routes)];
    this.#capacity = capacity;
  }
}
