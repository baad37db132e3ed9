import type { CheckpointStore } from "../checkpoint/store.ts";

/** Reservations looked at; a server that dies leaves one, so more stand for a store that many have died on. */
const MAX_LOOKED_AT = 64;
const TOPIC = "abandoned";

/**
 * Says of each epoch above the one in force that it was reserved by a server that ended before it recorded anything more: nothing
 * of it was committed, the fleet may hold its set unused, and its number is not used again. Returns these epochs.
 */
export async function noteAbandoned(store: CheckpointStore, { term }: { term: number }): Promise<number[]> {
  const { epoch: inForce, reservedEpoch } = await store.head();
  const abandoned: number[] = [];
  for (let epoch = Math.max(inForce, reservedEpoch - MAX_LOOKED_AT) + 1; epoch <= reservedEpoch; epoch++) {
    const entries = await store.history({ epoch });
    const [reserved] = entries;
    // Epochs below an adopted one were never reserved; an ended or waiting change has more entries.
    if (entries.length !== 1 || reserved?.body.kind !== "reserve") continue;
    const { holder } = reserved.body;
    const detail = { holder, term: reserved.term, reason: "its server ended before the commit" };
    await store.append({ kind: "note", epoch, topic: TOPIC, detail }, { term });
    abandoned.push(epoch);
  }
  return abandoned;
}
