import type { JetStreamManager, MsgRequest, NextMsgRequest, StoredMsg } from "@nats-io/jetstream";
import { BallastError } from "../../../common/errors.ts";
import { type Entry, type EntryBody, unseal } from "../chain.ts";
import { sha256Hex } from "../record.ts";
import type { Deadline } from "./deadline.ts";
import type { NatsSession } from "./nats-session.ts";
import { decodeHead, EMPTY_HEAD, HASH_HEADER, type StoredHead, WRITER_HEADER } from "./stored-head.ts";
import type { StreamLayout } from "./stream-layout.ts";

/** Header of the first chunk of an entry or a table. */
export const CHUNKS_HEADER = "Ballast-Chunks";

/** A server whose part of the stream ends before what was read already: an old leader that does not know it yet. */
class BehindError extends Error {}

/**
 * Reads the stream through its leader. A leader that was just deposed may answer with an older state; wherever that could
 * be taken for "there is none", the answer is held against a stream sequence that is known to exist.
 */
export class LogReader {
  readonly #layout: StreamLayout;

  constructor(layout: StreamLayout) {
    this.#layout = layout;
  }

  async head({ jsm }: NatsSession): Promise<StoredHead> {
    const { stream, headSubject } = this.#layout;
    const message = await jsm.streams.getMessage(stream, { last_by_subj: headSubject });
    return message === null ? EMPTY_HEAD : decodeHead(message);
  }

  /** The write that replaced the head of that revision, or null when none has. */
  async successorOf({ jsm }: NatsSession, revision: number): Promise<{ writer: string; stored: StoredHead } | null> {
    const { stream, headSubject } = this.#layout;
    const message = await firstFrom(jsm, stream, headSubject, revision + 1);
    if (message === null) return null;
    return { writer: message.header.get(WRITER_HEADER), stored: decodeHead(message) };
  }

  /** Numbers and states of the entries of an epoch or a kind, in order; complete up to the head of `atLeast`. */
  async list(
    session: NatsSession,
    by: { epoch?: number; kind?: EntryBody["kind"] },
    atLeast: number,
    deadline: Deadline,
  ): Promise<{ seq: number; kind: string; state: string | null }[]> {
    const info = await this.#current(deadline, async () => {
      const answer = await session.jsm.streams.info(this.#layout.stream, {
        subjects_filter: this.#layout.entryFilter(by),
      });
      if (answer.state.last_seq < atLeast) throw new BehindError();
      return answer;
    });
    return Object.keys(info.state.subjects ?? {})
      .map((subject) => this.#layout.parseEntrySubject(subject))
      .sort((a, b) => a.seq - b.seq);
  }

  /** An entry that a head of revision `atLeast` says is there. STORE_CORRUPT when it is not, or has other bytes. */
  async entry(session: NatsSession, seq: number, atLeast: number, deadline: Deadline): Promise<Entry> {
    const { jsm } = session;
    const { stream } = this.#layout;
    const first = await this.#current(deadline, async () => {
      const message = await firstFrom(jsm, stream, this.#layout.entryFilter({ seq }), 1);
      if (message === null && (await jsm.streams.info(stream)).state.last_seq < atLeast) throw new BehindError();
      return message;
    });
    if (first === null) throw corrupt(seq, "is missing");
    const line = await this.#text(session, seq, first, deadline);
    const hash = first.header.get(HASH_HEADER);
    if (sha256Hex(line) !== hash) throw corrupt(seq, "does not hash to its hash");
    const entry = unseal(line, hash);
    if (entry.seq !== seq) throw corrupt(seq, `says of itself that it is number ${entry.seq}`);
    if (this.#layout.entrySubject(seq, entry.body, 0) !== first.subject)
      throw corrupt(seq, `stands under ${first.subject}`);
    return entry;
  }

  /** The chunks of one batch have consecutive stream sequences. */
  async #text({ jsm }: NatsSession, seq: number, first: StoredMsg, deadline: Deadline): Promise<string> {
    const chunks = Number(first.header.get(CHUNKS_HEADER));
    const parts = [first.data];
    for (let i = 1; i < chunks; i++) {
      const part = await deadline.retry("reading", () =>
        jsm.streams.getMessage(this.#layout.stream, { seq: first.seq + i }),
      );
      const expected = first.subject.replace(/\.0$/, `.${i}`);
      if (part === null || part.subject !== expected) throw corrupt(seq, `lacks its part ${i + 1} of ${chunks}`);
      parts.push(part.data);
    }
    return Buffer.concat(parts).toString("utf8");
  }

  /** Repeats while a server that lags answers. */
  async #current<T>(deadline: Deadline, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await deadline.retry("reading", work);
      } catch (error) {
        if (!(error instanceof BehindError)) throw error;
        if (deadline.over)
          throw new BallastError("STORE_UNREADABLE", "the NATS server that answers lags behind the head");
      }
      await deadline.pause();
    }
  }
}

function corrupt(seq: number, what: string): BallastError {
  return new BallastError("STORE_CORRUPT", `entry ${seq} ${what}`);
}

/** The first message on the subject (or filter) from a stream sequence on. The client's type leaves this request out. */
function firstFrom(jsm: JetStreamManager, stream: string, filter: string, seq: number): Promise<StoredMsg | null> {
  const query: NextMsgRequest = { next_by_subj: filter, seq };
  return jsm.streams.getMessage(stream, query as unknown as MsgRequest);
}
