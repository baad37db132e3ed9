import type { LoadHistory } from "../../ingest/load-history.ts";
import { KeptPasts, NOT_KEPT } from "./kept-pasts.ts";
import type { Batch, KeptSpans } from "./model-kind.ts";
import type { ServedModel } from "./served-model.ts";

/** Copying more than this between two turns of the event loop would be felt by whoever waits for it. */
const MAX_BATCH_BYTES = 2 << 20;
export const MAX_BATCH_SERVICES = 128;

/** Services that are gathered, sent and unpacked together: what bounds the longest hold of the event loop. */
export function servicesPerBatch(historySteps: number): number {
  return Math.max(1, Math.min(MAX_BATCH_SERVICES, Math.floor(MAX_BATCH_BYTES / (8 * historySteps))));
}

export type Gathered = { services: string[]; batch: Batch };

/** Copies the pasts of services out of a history, one batch at a time: whole, or only what their worker does not keep yet. */
export class BatchGatherer {
  readonly #model: ServedModel;
  readonly #kept: KeptPasts | null;
  /**
   * Memory of batches, filled again and again: as many as are in flight at most. It is shared with the worker: two mebibytes that are handed to
   * and fro with every batch of whole pasts drive the collector of this thread to its longest pauses.
   */
  readonly #spare: Float64Array[] = [];
  readonly #roomSteps: number;

  /** @param keptBytes what the workers' pasts may take together; only a series model has any */
  constructor(model: ServedModel, keptBytes: number) {
    this.#model = model;
    const { stepMs, historySteps } = model;
    this.#kept = model.kind === "series" ? new KeptPasts({ stepMs, historySteps, maxBytes: keptBytes }) : null;
    this.#roomSteps = servicesPerBatch(historySteps) * historySteps;
  }

  /** Shares the services out: who keeps the past of one answers for it again. One share for all where nothing is kept. */
  share<Holder extends object>(
    history: LoadHistory,
    services: readonly string[],
    holders: readonly Holder[],
  ): Map<Holder | null, string[]> {
    const kept = this.#kept;
    if (kept === null || holders.length === 0) return new Map([[null, [...services]]]);
    kept.begin(history, services);
    const shares = new Map<object, string[]>(holders.map((holder) => [holder, []]));
    const most = Math.ceil(services.length / holders.length);
    const free: string[] = [];
    for (const service of services) {
      const share = shares.get(kept.holderOf(service) ?? shares);
      if (share === undefined || share.length >= most) free.push(service);
      else share.push(service);
    }
    for (const share of shares.values()) share.push(...free.splice(0, most - share.length));
    return shares as Map<Holder, string[]>;
  }

  /** The next batch, taken from the front of `queue`, which has some. */
  take(queue: string[], history: LoadHistory, originMs: number, holder: object): Gathered {
    if (this.#kept !== null) return this.#takeKept(this.#kept, queue, history, originMs, holder);
    const steps = this.#model.historySteps;
    const services = queue.splice(0, servicesPerBatch(steps));
    const tails = this.#memory();
    for (let i = 0; i < services.length; i++)
      history.tailInto(services[i]!, originMs, tails, i * steps, (i + 1) * steps);
    return { services, batch: { originMs, count: services.length, steps, tails } };
  }

  /** A batch was answered; its memory can be filled again. That of one which was not may still be read. */
  answered(tails: Float64Array): void {
    if (tails.length === this.#roomSteps) this.#spare.push(tails);
  }

  /** A batch was not answered: nobody knows what became of the pasts. */
  failed(services: readonly string[]): void {
    this.#kept?.forget(services);
  }

  #takeKept(pasts: KeptPasts, queue: string[], history: LoadHistory, originMs: number, holder: object): Gathered {
    const { stepMs, horizonSteps } = this.#model;
    const spans: { fromMs: number; whole: boolean }[] = [];
    let total = 0;
    for (const service of queue) {
      const span = pasts.toTell(service, holder, originMs);
      const length = (originMs - span.fromMs) / stepMs;
      if (spans.length === MAX_BATCH_SERVICES || (spans.length > 0 && total + length > this.#roomSteps)) break;
      spans.push(span);
      total += length;
    }
    const count = spans.length;
    const services = queue.splice(0, count);
    const kept: KeptSpans = {
      ids: new Int32Array(count).fill(NOT_KEPT),
      fromSteps: new Float64Array(count),
      lengths: new Int32Array(count),
      whole: new Uint8Array(count),
      rooms: new Int32Array(count),
      silent: new Uint8Array(count),
      released: pasts.takeReleased(holder),
    };
    // A few new steps each are not worth the memory of whole pasts.
    const tails = total > this.#roomSteps / 8 ? this.#memory() : new Float64Array(total);
    let at = 0;
    for (let i = 0; i < count; i++) {
      const service = services[i]!;
      const { fromMs, whole } = spans[i]!;
      const length = (originMs - fromMs) / stepMs;
      history.tailInto(service, originMs, tails, at, at + length);
      at += length;
      kept.ids[i] = pasts.told(service, holder, originMs, whole);
      if (whole) kept.rooms[i] = pasts.roomSteps(service, originMs);
      kept.fromSteps[i] = fromMs / stepMs;
      kept.lengths[i] = length;
      kept.whole[i] = whole ? 1 : 0;
      kept.silent[i] = Number.isNaN(history.newest(service, originMs, horizonSteps)) ? 1 : 0;
    }
    return { services, batch: { originMs, count, steps: 0, tails, kept } };
  }

  #memory(): Float64Array {
    return this.#spare.pop() ?? new Float64Array(new SharedArrayBuffer(8 * this.#roomSteps));
  }
}
