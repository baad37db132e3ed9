import type { EntryBody } from "../checkpoint/chain.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";

const PAGE = 200;
/** Notes looked through for the newest snapshot; a server writes one at each start. */
const MAX_NOTE_PAGES = 500;

/**
 * A state folded from the log: the newest snapshot (a note of `topic`) and every entry after it. A log without one (an older
 * store) is read from its first entry.
 */
export async function restoreFolded<S>(
  store: CheckpointStore,
  { topic, empty, fold }: { topic: string; empty: S; fold: (state: S, body: EntryBody) => S },
): Promise<S> {
  let state = empty;
  let fromSeq = 1;
  let before: number | undefined;
  for (let pages = 0; pages < MAX_NOTE_PAGES; pages++) {
    const notes = await store.history({
      kind: "note",
      newestFirst: true,
      limit: PAGE,
      ...(before === undefined ? {} : { fromSeq: before }),
    });
    const found = notes.find(({ body }) => body.kind === "note" && body.topic === topic);
    if (found !== undefined) {
      fromSeq = found.seq;
      break;
    }
    if (notes.length < PAGE) break;
    before = notes.at(-1)!.seq - 1;
  }
  for (;;) {
    const entries = await store.history({ fromSeq, limit: PAGE });
    for (const { body } of entries) state = fold(state, body);
    if (entries.length < PAGE) return state;
    fromSeq = entries.at(-1)!.seq + 1;
  }
}
