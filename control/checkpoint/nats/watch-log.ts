import { setTimeout as sleep } from "node:timers/promises";
import type { Entry } from "../chain.ts";
import type { CheckpointStore } from "../store.ts";

/** Entries asked for at a time. */
const PAGE = 100;
/** After a ring the write is on its way, but not yet acknowledged by a majority: look again soon, then less often. */
const FIRST_LOOK_MS = 1;

/**
 * All entries from a number on, then each as it comes. The log is what is read; being woken is only a hint, so a lost or a
 * false one costs at most `watchMs`.
 */
export async function* watchLog(
  store: Pick<CheckpointStore, "history">,
  fromSeq: number,
  options: {
    signal: AbortSignal;
    watchMs: number;
    /** Calls `ring` whenever somebody tries to write; returns how to stop. */
    subscribe: (ring: () => void) => Promise<() => void>;
  },
): AsyncGenerator<Entry> {
  const { signal, watchMs } = options;
  if (signal.aborted) return;
  let pauseMs = watchMs;
  let wake = new AbortController();
  const unsubscribe = await options.subscribe(() => {
    pauseMs = FIRST_LOOK_MS;
    wake.abort();
  });
  const stop = () => wake.abort();
  signal.addEventListener("abort", stop);
  try {
    let next = Math.max(1, fromSeq);
    while (!signal.aborted) {
      const entries = await store.history({ fromSeq: next, limit: PAGE });
      for (const entry of entries) {
        if (signal.aborted) return;
        yield entry;
        next = entry.seq + 1;
      }
      if (entries.length > 0) continue;
      if (!wake.signal.aborted) await sleep(pauseMs, undefined, { signal: wake.signal }).catch(() => {});
      if (wake.signal.aborted) wake = new AbortController();
      else pauseMs = Math.min(pauseMs * 2, watchMs);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    unsubscribe();
  }
}
