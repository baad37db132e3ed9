import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import type { CapacityBook } from "../capacity/capacity-book.ts";
import { decodeMemory, encodeMemory } from "../capacity/capacity-memory.ts";
import { type CheckpointStore, MAX_KEEPSAKE_BYTES } from "../checkpoint/store.ts";

export interface CapacityKeeperOptions {
  book: CapacityBook;
  store: Pick<CheckpointStore, "keep" | "kept">;
  term: number;
  /** Planning time, which the readings are of. */
  clock: Pick<Clock, "nowMs">;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
  /** Real time between two writes of one service. Default 10 s: what a server that is killed may forget. */
  intervalMs?: number;
}

const INTERVAL_MS = 10_000;
/** Between the writes of two services: with a thousand of them a store has four writes a second, and each service one in four minutes. */
const LEAST_GAP_MS = 250;
/** An orderly stop writes what is new for so long. */
const FAREWELL_MS = 2_000;

/**
 * Keeps what was learnt of capacities in the store, so that a server that starts again or takes over goes on with it. One service
 * at a time, and only where something was learnt since. A store that does not answer costs nothing but the newest minutes.
 */
export class CapacityKeeper {
  readonly #options: CapacityKeeperOptions;
  /** Readings of each service at its last write. */
  readonly #written = new Map<string, number>();
  #next = 0;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #busy = false;
  #failed = false;

  constructor(options: CapacityKeeperOptions) {
    this.#options = options;
  }

  /** Before the first plan. What cannot be read, or is of a target that changed, is learnt anew. */
  async restore(): Promise<void> {
    const { book, store, clock, log } = this.#options;
    const nowMs = clock.nowMs();
    let restored = 0;
    let oldestMs = nowMs;
    for (const service of book.services) {
      const kept = await store.kept(nameOf(service)).catch((thrown: unknown) => {
        const { code, message } = BallastError.from(thrown, "STORE_UNREADABLE");
        log.warn({ service, code }, `what was learnt of capacities is not read: ${message}`);
        return null;
      });
      if (kept === null) continue;
      const memory = decodeMemory(kept.text, service);
      if (memory === null) {
        log.warn({ service }, "what was kept of its capacities is of another version; they are learnt anew");
        continue;
      }
      const recalled = book.recall(memory.targets, nowMs);
      restored += recalled.restored.length;
      if (recalled.restored.length > 0) oldestMs = Math.min(oldestMs, memory.atMs);
      for (const { target, why } of recalled.forgotten)
        log.info({ service, target }, `its learnt capacity is forgotten: ${why}`);
    }
    if (restored > 0)
      log.info({ targets: restored, ageS: Math.round((nowMs - oldestMs) / 1000) }, "learnt capacities go on");
  }

  start(): void {
    const { book, intervalMs = INTERVAL_MS } = this.#options;
    if (book.services.length === 0) return;
    const gapMs = Math.max(LEAST_GAP_MS, intervalMs / book.services.length);
    this.#timer = setInterval(() => {
      if (this.#busy) return;
      const { services } = book;
      const service = services[this.#next++ % services.length]!;
      this.#busy = true;
      this.#writing = this.#write(service).finally(() => {
        this.#busy = false;
      });
    }, gapMs).unref();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#writing;
    const startMs = performance.now();
    for (const service of this.#options.book.services) {
      if (this.#failed || performance.now() - startMs > FAREWELL_MS) return;
      await this.#write(service);
    }
  }

  async #write(service: string): Promise<void> {
    const { book, store, term, clock, log } = this.#options;
    const readings = book.readings(service);
    if (readings === (this.#written.get(service) ?? 0)) return;
    const memory = { service, atMs: clock.nowMs(), targets: book.memory(service) };
    try {
      await store.keep(nameOf(service), encodeMemory(memory, MAX_KEEPSAKE_BYTES), { term });
      this.#written.set(service, readings);
      this.#failed = false;
    } catch (thrown) {
      // Told once: the next write comes by itself.
      if (!this.#failed) log.warn({ err: thrown }, "what was learnt of capacities could not be kept");
      this.#failed = true;
    }
  }
}

function nameOf(service: string): string {
  return `capacity/${service}`;
}
