import { BallastError } from "../../../common/errors.ts";
import { sha256Hex } from "../record.ts";
import { checkKeepsake, type Keepsake } from "../store.ts";
import type { Deadline } from "./deadline.ts";
import { isConflict, isTransient, jsErrorCode, NATS_HINT, storeError } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";

interface StoredKeepsake extends Keepsake {
  name: string;
  sum: string;
}

/** Keepsakes lie in the bucket of the leases. Their names have letters that a key may not have, so a key is a hash. */
function keyOf(name: string): string {
  return `keepsake_${sha256Hex(name).slice(0, 32)}`;
}

function sumOf({ name, term, text }: Omit<StoredKeepsake, "sum">): string {
  return sha256Hex(JSON.stringify([name, term, text]));
}

/** What is kept under a name; null when nothing is. STORE_CORRUPT. */
export async function standingKeepsake(
  { leases }: NatsSession,
  deadline: Deadline,
  name: string,
): Promise<Keepsake | null> {
  const found = await deadline.retry("reading a keepsake", () => leases.get(keyOf(name)));
  if (found === null || found.operation !== "PUT") return null;
  try {
    const stored = JSON.parse(found.string()) as StoredKeepsake;
    if (stored.name === name && sumOf(stored) === stored.sum) return { text: stored.text, term: stored.term };
  } catch {
    // Reported below, as any other text that is no keepsake.
  }
  throw new BallastError("STORE_CORRUPT", `keepsake ${name}: its text does not make its sum`);
}

/**
 * Replaces a keepsake on the revision that was found, after `fenced` has let the term pass: of a server that lost its lease in
 * between, the successor's first write is refused or overwrites it. The head's comparison does not cover it: nothing that serves depends on
 * a keepsake.
 */
export async function putKeepsake(
  session: () => Promise<NatsSession>,
  deadline: Deadline,
  { name, text, term }: Keepsake & { name: string },
  fenced: () => Promise<void>,
): Promise<void> {
  checkKeepsake(name, text);
  const value = JSON.stringify({ name, text, term, sum: sumOf({ name, text, term }) } satisfies StoredKeepsake);
  const key = keyOf(name);
  for (;;) {
    const { leases } = await session();
    const found = await deadline.retry("reading a keepsake", () => leases.get(key));
    await fenced();
    try {
      await (found === null ? leases.create(key, value) : leases.update(key, value, found.revision));
      return;
    } catch (error) {
      // Written twice by a try without an answer is the same as once.
      if (!isConflict(jsErrorCode(error)) && !isTransient(error)) throw storeError(error, "keeping");
      if (deadline.over)
        throw new BallastError("STORE_UNREADABLE", `the keepsake ${name} was not stored in time`, {
          cause: error,
          hint: NATS_HINT,
        });
    }
    await deadline.pause();
  }
}
