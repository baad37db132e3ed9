import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import type { CheckpointStore } from "../../control/checkpoint/store.ts";
import { activeCheckpoint, recordSet, testRecord } from "../../control/checkpoint/test-records.ts";

/** Writers that all want every next epoch, without a lease, so that only the store keeps them apart. */
export class StoreLoad {
  /** Epochs whose commit was acknowledged; of all writers. */
  readonly committed: number[] = [];
  /** Refusals by code. */
  readonly refused = new Map<string, number>();
  readonly #stores: readonly CheckpointStore[];
  readonly #running: Promise<void>[];
  #ended = false;

  constructor(stores: readonly CheckpointStore[]) {
    this.#stores = stores;
    this.#running = stores.map((store, i) => this.#write(store, `writer-${i}`));
  }

  /** Resolves after `count` more commits; throws when they do not come within a minute. */
  async progress(count: number): Promise<void> {
    const goal = this.committed.length + count;
    for (let i = 0; i < 6_000 && this.committed.length < goal; i++) await sleep(10);
    if (this.committed.length < goal) throw new Error(`no progress: ${JSON.stringify([...this.refused])}`);
  }

  async stop(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#running);
    await Promise.all(this.#stores.map((store) => store.close()));
  }

  async #write(store: CheckpointStore, holder: string): Promise<void> {
    for (let i = 0; !this.#ended; i++) {
      try {
        const { epoch: parent, term } = await store.head();
        const epoch = await store.reserve(parent, { holder, term });
        const set = recordSet(100_000 + (i % 8) * 100_000);
        await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set, term)), set.tables);
        this.committed.push(epoch);
      } catch (error) {
        if (!(error instanceof BallastError)) throw error;
        this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
      }
    }
  }
}
