import type { CheckpointStore } from "../checkpoint/store.ts";
import {
  EMPTY_TICKETS,
  foldTickets,
  TICKET_TOPIC,
  type TicketLedger,
  type TicketNotes,
  type TicketRules,
  withoutHistory,
} from "./ticket-log.ts";

const PAGE = 200;
/** Notes looked through for the newest snapshot; a follower writes one every 500 entries. */
const MAX_NOTE_PAGES = 500;

type Snapshot = TicketNotes[typeof TICKET_TOPIC.snapshot];

/**
 * What was known of the tickets, read from the log: the newest snapshot and every entry after what is in it. `found` false:
 * the log was never followed, and what lies behind it gets no tickets.
 */
export async function restoreTickets(
  store: Pick<CheckpointStore, "history">,
  rules: TicketRules,
): Promise<{ ledger: TicketLedger; throughSeq: number; found: boolean }> {
  const snapshot = await newestSnapshot(store);
  let { ledger, throughSeq } = snapshot ?? { ledger: EMPTY_TICKETS, throughSeq: 0 };
  for (;;) {
    const entries = await store.history({ fromSeq: throughSeq + 1, limit: PAGE });
    for (const { body } of entries) ledger = foldTickets(ledger, body, rules);
    throughSeq = entries.at(-1)?.seq ?? throughSeq;
    if (entries.length < PAGE) break;
  }
  const found = snapshot !== null;
  return { ledger: found ? ledger : withoutHistory(ledger), throughSeq, found };
}

async function newestSnapshot(store: Pick<CheckpointStore, "history">): Promise<Snapshot | null> {
  let before: number | undefined;
  for (let pages = 0; pages < MAX_NOTE_PAGES; pages++) {
    const notes = await store.history({
      kind: "note",
      newestFirst: true,
      limit: PAGE,
      ...(before === undefined ? {} : { fromSeq: before }),
    });
    for (const { body } of notes) {
      if (body.kind === "note" && body.topic === TICKET_TOPIC.snapshot) return body.detail as Snapshot;
    }
    if (notes.length < PAGE) return null;
    before = notes.at(-1)!.seq - 1;
  }
  return null;
}
