import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import { type CheckpointStore, LEADER_LEASE } from "../checkpoint/store.ts";

export interface LeadershipOptions {
  store: CheckpointStore;
  /** The same over restarts of one server, so that it takes its own lease back at once. */
  holder: string;
  ttlMs: number;
  /** The head of the store could not be confirmed for a whole lease: stop pushing. */
  onLost: (reason: string) => void;
  onRegained: () => void;
  /** Given: while another server leads, ask again three times per lease until this aborts (a standby). */
  waiting?: AbortSignal;
}

export interface Leadership {
  term: number;
  /** Time since the head of the store was confirmed, ms. */
  confirmedAgoMs(): number;
  /** Ends the lease, so that the next server need not wait for it to run out. */
  stop(): Promise<void>;
}

/**
 * Takes the leader's lease and renews it three times per lease. The lease protects nothing by itself (every write carries
 * the expected epoch and the term); it is what keeps a second server from trying, and what notices a dead store.
 * Throws STORE_FENCED when another server holds it.
 */
export async function lead(options: LeadershipOptions): Promise<Leadership> {
  const { store, holder, ttlMs } = options;
  let first = await store.lease(LEADER_LEASE, { holder, ttlMs });
  while (!first.granted && options.waiting?.aborted === false) {
    await sleep(ttlMs / 3, undefined, { signal: options.waiting }).catch(() => undefined);
    first = await store.lease(LEADER_LEASE, { holder, ttlMs });
  }
  if (!first.granted) {
    throw new BallastError(
      "STORE_FENCED",
      `${first.holder} leads with this store until ${new Date(first.expiresAtMs).toISOString()}`,
    );
  }
  const term = first.token;
  let confirmedAtMs = performance.now();
  let lost = false;
  const renew = async () => {
    try {
      const answer = await store.lease(LEADER_LEASE, { holder, ttlMs, token: term });
      if (!answer.granted || answer.token !== term)
        throw new BallastError("STORE_FENCED", "another server took the lead");
      confirmedAtMs = performance.now();
      if (lost) options.onRegained();
      lost = false;
    } catch (thrown) {
      if (lost || performance.now() - confirmedAtMs < ttlMs) return;
      lost = true;
      options.onLost(thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
  const timer = setInterval(() => void renew(), ttlMs / 3);
  return {
    term,
    confirmedAgoMs: () => performance.now() - confirmedAtMs,
    async stop() {
      clearInterval(timer);
      // A lease of one millisecond is over at once; a store that does not take it lets the old one run out.
      await store.lease(LEADER_LEASE, { holder, ttlMs: 1, token: term }).catch(() => undefined);
    },
  };
}
