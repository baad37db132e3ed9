import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import { type CheckpointStore, LEADER_LEASE } from "../checkpoint/store.ts";

export interface LeadershipOptions {
  store: CheckpointStore;
  /** The same over restarts of one server, so that it takes its own lease back at once; differs between servers. */
  holder: string;
  ttlMs: number;
  /** The head of the store could not be confirmed for a whole lease: stop pushing. */
  onLost: (reason: string) => void;
  onRegained: () => void;
  /** Another server took the lead, called once: nothing can be written under this term any more. */
  onDeposed?: (error: BallastError) => void;
  /** Given: while another server leads, ask again three times per lease until this aborts (a standby). */
  waiting?: AbortSignal;
  /** Told who leads at every try that was in vain; null while the store does not answer. */
  onWaiting?: (holder: string | null) => void;
}

export interface Leadership {
  term: number;
  /** Time since the head of the store was confirmed, ms. */
  confirmedAgoMs(): number;
  /**
   * Calls `onLost` when the lease has run out, without waiting for a timer: a process that slept through its lease must not
   * push what it believed before it looked.
   */
  check(): void;
  /** Asks the store now: a write was refused, which may mean that another server leads. */
  renew(): Promise<void>;
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
  // A lease counts from before it was asked for: the store stamps it on the way, and the next server goes by that.
  let askedAtMs = performance.now();
  const first = await firstLease(options, () => {
    askedAtMs = performance.now();
  });
  const { token: term } = first;
  let confirmedAtMs = askedAtMs;
  let lost = false;
  let deposed = false;
  let renewing: Promise<void> | null = null;
  const lose = (reason: string) => {
    if (lost) return;
    lost = true;
    options.onLost(reason);
  };
  const ask = async () => {
    const startedAtMs = performance.now();
    try {
      const answer = await store.lease(LEADER_LEASE, { holder, ttlMs, token: term });
      if (!answer.granted || answer.token !== term) {
        deposed = true;
        clearInterval(timer);
        const error = new BallastError(
          "STORE_FENCED",
          `${answer.granted ? "another server" : answer.holder} took the lead`,
        );
        lose(error.message);
        options.onDeposed?.(error);
        return;
      }
      confirmedAtMs = startedAtMs;
      if (lost) options.onRegained();
      lost = false;
    } catch (thrown) {
      if (performance.now() - confirmedAtMs >= ttlMs) lose(thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
  const renew = async (): Promise<void> => {
    if (deposed) return;
    // One at a time: a store that is slow must not be asked ever more often.
    renewing ??= ask().finally(() => {
      renewing = null;
    });
    await renewing;
  };
  const timer = setInterval(() => void renew(), ttlMs / 3);
  return {
    term,
    confirmedAgoMs: () => performance.now() - confirmedAtMs,
    check() {
      const agoMs = performance.now() - confirmedAtMs;
      if (agoMs >= ttlMs) lose(`it was confirmed ${Math.round(agoMs)} ms ago, at most ${ttlMs}`);
    },
    renew,
    async stop() {
      clearInterval(timer);
      // A lease of one millisecond is over at once; a store that does not take it lets the old one run out.
      if (!deposed) await store.lease(LEADER_LEASE, { holder, ttlMs: 1, token: term }).catch(() => undefined);
    },
  };
}

/** A holder renews three times per lease; one that did not for so many leases is gone. */
const UNRENEWED_LEASES = 2;

async function firstLease(
  { store, holder, ttlMs, waiting, onWaiting }: LeadershipOptions,
  beforeAsking: () => void,
): Promise<{ token: number }> {
  // Its end is stamped by the holder's wall clock, which may have run ahead: what is never renewed is over too.
  let watched = { expiresAtMs: Number.NaN, sinceMs: 0 };
  for (;;) {
    beforeAsking();
    let leader: string | null = null;
    try {
      const unrenewed = performance.now() - watched.sinceMs >= UNRENEWED_LEASES * ttlMs;
      const answer = await store.lease(LEADER_LEASE, {
        holder,
        ttlMs,
        ...(unrenewed ? { unrenewedMs: watched.expiresAtMs } : {}),
      });
      if (answer.granted) return answer;
      leader = answer.holder;
      if (answer.expiresAtMs !== watched.expiresAtMs)
        watched = { expiresAtMs: answer.expiresAtMs, sinceMs: performance.now() };
      if (waiting?.aborted !== false) {
        const until = new Date(answer.expiresAtMs).toISOString();
        throw new BallastError("STORE_FENCED", `${leader} leads with this store until ${until}`);
      }
    } catch (thrown) {
      // A standby outlives a store that is gone for a while: what it waits for may well be the end of just that.
      const passing = thrown instanceof BallastError && thrown.code === "STORE_UNREADABLE";
      if (!passing || waiting?.aborted !== false) throw thrown;
    }
    onWaiting?.(leader);
    await sleep(ttlMs / 3, undefined, { signal: waiting }).catch(() => undefined);
  }
}
