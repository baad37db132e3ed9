import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import { type ServeOptions, type Serving, serve } from "./serve.ts";

/** Pause before a server that was deposed asks for its store again while that does not answer. */
const RETRY_MS = 2_000;

/**
 * One of several servers on one store: waits for the lead, serves, and when another server took the lead gives everything up
 * and waits anew, until the signal aborts. What it knew of the fleet goes with it: the next turn begins from the store.
 *
 * Rejects when the first turn cannot begin (a configuration, a store or a port that is wrong). Later a store that does not
 * answer is asked again.
 */
export async function serveInTurn(
  options: Omit<ServeOptions, "onDeposed"> & { standby: AbortSignal },
  onServing: (server: Serving) => void,
): Promise<void> {
  const { log, standby } = options;
  for (let turn = 1; !standby.aborted; turn++) {
    const { promise: over, resolve: end } = Promise.withResolvers<BallastError | null>();
    let server: Serving;
    try {
      server = await serve({ ...options, onDeposed: end });
    } catch (thrown) {
      if (standby.aborted) return;
      const passing = thrown instanceof BallastError && ["STORE_UNREADABLE", "STORE_FENCED"].includes(thrown.code);
      if (turn === 1 || !passing) throw thrown;
      log.warn({ code: thrown.code }, thrown.message);
      await sleep(RETRY_MS, undefined, { signal: standby }).catch(() => undefined);
      continue;
    }
    onServing(server);
    const stop = () => end(null);
    standby.addEventListener("abort", stop, { once: true });
    if (standby.aborted) stop();
    const deposed = await over;
    standby.removeEventListener("abort", stop);
    await server.stop();
    if (deposed === null) return;
    log.warn({ code: deposed.code }, `${deposed.message}; waiting for the lead`);
  }
}
