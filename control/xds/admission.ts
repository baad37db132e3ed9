/**
 * Lets a storm of arrivals in at a steady rate: a token bucket with a bounded queue in order of arrival. A fleet that reconnects all
 * at once would otherwise spend the server's time on handshakes while those already in wait for their answers
 * (one such report: istio issue 35263, 5,000 proxies, some answered after minutes).
 */
export interface AdmissionOptions<Item> {
  /** Arrivals admitted per second in the long run, at least 1. */
  perSecond: number;
  /** Arrivals admitted at once after a quiet time, at least 1. */
  burst: number;
  /** Arrivals that may wait; one more is refused. */
  maxWaiting: number;
  admit(item: Item): void;
  refuse(item: Item): void;
  /** Monotonic milliseconds; for tests. */
  nowMs?: () => number;
}

const TURN_MS = 10;

export class AdmissionGate<Item> {
  readonly #options: AdmissionOptions<Item>;
  readonly #nowMs: () => number;
  #waiting: Item[] = [];
  /** Those of #waiting before this index are in already. */
  #head = 0;
  #tokens: number;
  #filledAtMs: number;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: AdmissionOptions<Item>) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#tokens = options.burst;
    this.#filledAtMs = this.#nowMs();
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  arrive(item: Item): void {
    if (this.#stopped || this.waiting >= this.#options.maxWaiting) {
      this.#options.refuse(item);
      return;
    }
    this.#waiting.push(item);
    this.turn();
  }

  /** Admits whom the tokens allow; called by a timer while anyone waits. */
  turn(): void {
    this.#fill();
    while (this.waiting > 0 && this.#tokens >= 1) {
      this.#tokens -= 1;
      this.#options.admit(this.#waiting[this.#head++] as Item);
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    if (this.waiting === 0) {
      this.#waiting = [];
      this.#head = 0;
    }
    if (this.waiting > 0 && this.#timer === null && !this.#stopped) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.turn();
      }, TURN_MS);
    }
  }

  /** Refuses all that wait and all that come. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const item of this.#waiting.slice(this.#head)) this.#options.refuse(item);
    this.#waiting = [];
    this.#head = 0;
  }

  #fill(): void {
    const nowMs = this.#nowMs();
    const { perSecond, burst } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) * perSecond) / 1_000);
    this.#filledAtMs = nowMs;
  }
}
