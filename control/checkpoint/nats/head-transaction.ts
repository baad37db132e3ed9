import { nuid } from "@nats-io/transport-node";
import { BallastError } from "../../../common/errors.ts";
import { type Entry, type EntryBody, seal, unseal } from "../chain.ts";
import { sha256Hex } from "../record.ts";
import type { Head } from "../store.ts";
import { type BatchMessage, publishBatch } from "./atomic-batch.ts";
import { splitChunks } from "./chunks.ts";
import type { Deadline } from "./deadline.ts";
import { CHUNKS_HEADER, type LogReader } from "./log-reader.ts";
import { isTransient, NATS_HINT } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";
import { encodeHead, HASH_HEADER, type StoredHead, WRITER_HEADER } from "./stored-head.ts";
import type { StreamLayout } from "./stream-layout.ts";

/** What a write makes of the head it found: the fields that change, and the entry, if it adds one. */
export interface HeadChange {
  head: Partial<Pick<Head, "epoch" | "reservedEpoch" | "term">>;
  /** Makes the new entry the committed one, of this fleet. */
  commits?: { fleet: string };
  entry?: { body: EntryBody; term: number };
}

export interface Written {
  head: Head;
  entry: Entry | null;
}

/**
 * One write: look at the head, decide, and put entry and new head as one batch in its place, unless another write was first;
 * then look and decide again. `decide` throws to refuse (STORE_CONFLICT, STORE_FENCED).
 *
 * A batch without an answer is sent again as it was, against the same head: of the two at most one can be stored, and the
 * head that followed names the write. Without certainty at the deadline: STORE_UNREADABLE, which says so.
 */
export async function headTransaction(context: {
  session: () => Promise<NatsSession>;
  reader: LogReader;
  layout: StreamLayout;
  deadline: Deadline;
  wallMs: () => number;
  decide: (found: StoredHead, session: NatsSession) => Promise<HeadChange>;
}): Promise<Written> {
  const { reader, layout, deadline, wallMs, decide } = context;
  for (;;) {
    const session = await context.session();
    const found = await deadline.retry("reading the head", () => reader.head(session));
    const change = await decide(found, session);
    const prepared = prepare(found, change, wallMs());
    const messages = batchOf(prepared, session.maxPayloadBytes, layout);
    const writer = prepared.writer;
    session.recheck();
    if (await settle(context, messages, found.revision, writer)) return { head: prepared.head, entry: prepared.entry };
    if (deadline.over) {
      throw new BallastError(
        "STORE_UNREADABLE",
        "other writers were first until the time was over; nothing was written",
        {
          hint: "Try again; many servers write at once.",
        },
      );
    }
    await deadline.pause();
  }
}

interface Prepared {
  writer: string;
  head: Head;
  fleet: string | null;
  entry: Entry | null;
  line: string;
}

function prepare({ head: found, fleet: before }: StoredHead, change: HeadChange, atMs: number): Prepared {
  const head: Head = { ...found, ...change.head };
  const writer = nuid.next();
  const fleet = change.commits?.fleet ?? before;
  if (change.entry === undefined) return { writer, head, fleet, entry: null, line: "" };
  const { body, term } = change.entry;
  const { line, hash } = seal({ seq: found.tip.seq + 1, atMs, term, prevHash: found.tip.hash, body });
  const entry = unseal(line, hash);
  head.tip = { seq: entry.seq, hash };
  if (change.commits !== undefined) head.seq = entry.seq;
  return { writer, head, fleet, entry, line };
}

function batchOf(
  { writer, head, fleet, entry, line }: Prepared,
  maxPayloadBytes: number,
  layout: StreamLayout,
): BatchMessage[] {
  const messages: BatchMessage[] = [];
  if (entry !== null) {
    const chunks = splitChunks(Buffer.from(line, "utf8"), maxPayloadBytes);
    for (const [i, payload] of chunks.entries()) {
      messages.push({
        subject: layout.entrySubject(entry.seq, entry.body, i),
        payload,
        headers: i === 0 ? { [HASH_HEADER]: entry.hash, [CHUNKS_HEADER]: `${chunks.length}` } : {},
      });
    }
  }
  const payload = encodeHead(head, fleet);
  messages.push({
    subject: layout.headSubject,
    payload,
    headers: { [WRITER_HEADER]: writer, [HASH_HEADER]: sha256Hex(payload) },
  });
  return messages;
}

/** True when the batch is stored, false when it never will be because another write took its place. */
async function settle(
  context: { session: () => Promise<NatsSession>; reader: LogReader; deadline: Deadline },
  messages: readonly BatchMessage[],
  revision: number,
  writer: string,
): Promise<boolean> {
  const { reader, deadline } = context;
  let unanswered = false;
  for (;;) {
    const session = await context.session();
    const outcome = await publishBatch(session, messages, revision, deadline.tryMs);
    if (outcome.kind === "stored") return true;
    if (outcome.kind === "conflict" && !unanswered) return false;
    if (outcome.kind === "refused") {
      const then = unanswered ? "; whether an earlier try without an answer was stored is unknown" : "";
      throw new BallastError("STORE_UNREADABLE", `NATS refuses the write: ${outcome.cause.message}${then}`, {
        cause: outcome.cause,
        hint: NATS_HINT,
      });
    }
    unanswered = true;
    let cause: unknown = outcome.kind === "unknown" ? outcome.cause : undefined;
    try {
      const successor = await reader.successorOf(session, revision);
      if (successor !== null) return successor.writer === writer;
    } catch (error) {
      if (!isTransient(error)) throw error;
      cause = error;
    }
    if (deadline.over) {
      throw new BallastError(
        "STORE_UNREADABLE",
        "no NATS server answered the write in time: whether it was stored is unknown",
        {
          cause,
          hint: NATS_HINT,
        },
      );
    }
    await deadline.pause();
  }
}
