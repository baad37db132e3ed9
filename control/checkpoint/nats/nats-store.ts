import { BallastError } from "../../../common/errors.ts";
import type { EncodedTable } from "../../table/table.ts";
import type { Entry, EntryBody } from "../chain.ts";
import { checkCommit } from "../commit-gate.ts";
import type { Checkpoint } from "../moves.ts";
import {
  type CheckpointStore,
  type Head,
  type HistoryQuery,
  type Keepsake,
  LEADER_LEASE,
  type LeaseAnswer,
  type LeaseRequest,
  type StandingLease,
} from "../store.ts";
import { Deadline } from "./deadline.ts";
import { type HeadChange, headTransaction, type Written } from "./head-transaction.ts";
import { LogReader } from "./log-reader.ts";
import { putKeepsake, standingKeepsake } from "./nats-keepsake.ts";
import { standingLease, takeLease } from "./nats-lease.ts";
import { type NatsSettings, type NatsStoreOptions, natsSettings } from "./nats-options.ts";
import { NatsSession } from "./nats-session.ts";
import { mapPool } from "./pool.ts";
import type { StoredHead } from "./stored-head.ts";
import { StreamLayout } from "./stream-layout.ts";
import { TableShelf } from "./table-shelf.ts";
import { watchLog } from "./watch-log.ts";

/** Entries read at a time. */
const READ_WIDTH = 16;

/**
 * The store for several control servers: a JetStream stream of three copies. Every write replaces the head message by
 * compare-and-swap together with its entry, as one atomic batch; the head also carries the term, so a writer that lost its
 * lease is refused by the same comparison, whenever its write arrives.
 */
export class NatsStore implements CheckpointStore {
  readonly #settings: NatsSettings;
  readonly #layout: StreamLayout;
  readonly #reader: LogReader;
  readonly #tables: TableShelf;
  #session: Promise<NatsSession> | null = null;
  #closed = false;

  private constructor(settings: NatsSettings) {
    this.#settings = settings;
    this.#layout = new StreamLayout(settings.name);
    this.#reader = new LogReader(this.#layout);
    this.#tables = new TableShelf(this.#layout);
  }

  /** Connects; makes stream and bucket when they are missing. STORE_UNSAFE for servers or a stream that lose or mix up writes. */
  static async open(options: NatsStoreOptions): Promise<NatsStore> {
    const store = new NatsStore(natsSettings(options));
    await store.#connected(store.#deadline());
    return store;
  }

  /** Read from the stream's leader. One that was cut off a moment ago may answer with an older head: only a write proves it newest. */
  async head(): Promise<Head> {
    const deadline = this.#deadline();
    return (await deadline.retry("reading the head", async () => this.#reader.head(await this.#connected(deadline))))
      .head;
  }

  async reserve(expectedEpoch: number, by: { holder: string; term: number; atLeast?: number }): Promise<number> {
    const { head } = await this.#write(async ({ head }) => {
      fence(head, by.term);
      expectHead(head, expectedEpoch);
      const epoch = Math.max(head.reservedEpoch, by.atLeast ?? 0) + 1;
      if (!Number.isSafeInteger(epoch)) throw conflict(`${epoch} is beyond the last epoch`);
      const body: EntryBody = { kind: "reserve", epoch, expectedEpoch, holder: by.holder };
      return { head: { reservedEpoch: epoch }, entry: { body, term: by.term } };
    });
    return head.reservedEpoch;
  }

  async commit(
    expectedEpoch: number,
    checkpoint: Checkpoint<"active">,
    tables: readonly EncodedTable[],
  ): Promise<Head> {
    const { record } = checkpoint;
    const deadline = this.#deadline();
    let shelved = false;
    const { head } = await this.#write(async ({ head, revision, fleet }, session) => {
      fence(head, record.term);
      expectHead(head, expectedEpoch);
      if (record.parent !== expectedEpoch)
        throw conflict(`epoch ${record.epoch} follows ${record.parent}, not ${expectedEpoch}`);
      const entries = await this.#reader.list(session, { epoch: record.epoch }, revision, deadline);
      if (!entries.some((entry) => entry.kind === "reserve") || record.epoch <= head.epoch) {
        throw conflict(`epoch ${record.epoch} was not reserved, or lies behind ${head.epoch}`);
      }
      const state = entries.findLast((entry) => entry.state !== null)?.state;
      if (state !== undefined) throw conflict(`epoch ${record.epoch} is ${state} already`);
      if (!shelved) {
        checkCommit(checkpoint, tables, fleet);
        await this.#shelve(session, checkpoint, tables, deadline);
        shelved = true;
      }
      const body: EntryBody = { kind: "checkpoint", epoch: record.epoch, checkpoint };
      return { head: { epoch: record.epoch }, commits: { fleet: record.fleet }, entry: { body, term: record.term } };
    }, deadline);
    return head;
  }

  async append(body: Exclude<EntryBody, { kind: "reserve" }>, by: { term: number }): Promise<Entry> {
    if (body.kind === "checkpoint" && body.checkpoint.state !== "refused" && body.checkpoint.state !== "aborted") {
      throw new Error(`a checkpoint that is ${body.checkpoint.state} must be committed`);
    }
    const deadline = this.#deadline();
    const { entry } = await this.#write(async ({ head, revision }, session) => {
      fence(head, by.term);
      if (body.kind !== "note") {
        const entries = await this.#reader.list(session, { epoch: body.epoch }, revision, deadline);
        const state = entries.findLast((one) => one.state !== null)?.state ?? null;
        if (body.kind === "move" && state !== body.move.from) {
          throw conflict(`epoch ${body.epoch} is ${state ?? "unknown"}, not ${body.move.from}`);
        }
        if (body.kind === "checkpoint" && state !== null) throw conflict(`epoch ${body.epoch} is ${state} already`);
      }
      return { head: {}, entry: { body, term: by.term } };
    }, deadline);
    return entry!;
  }

  watch(fromSeq: number, options: { signal: AbortSignal }): AsyncIterable<Entry> {
    return watchLog(this, fromSeq, {
      signal: options.signal,
      watchMs: this.#settings.watchMs,
      subscribe: async (ring) => {
        const { nc } = await this.#connected(this.#deadline());
        const subscription = nc.subscribe(this.#layout.headSubject, { callback: ring });
        return () => subscription.unsubscribe();
      },
    });
  }

  async history(query: HistoryQuery = {}): Promise<Entry[]> {
    const { fromSeq, limit = 100, epoch, kind, newestFirst = false } = query;
    if (!(limit >= 1 && limit <= 1000)) throw new Error(`limit is ${limit}`);
    const deadline = this.#deadline();
    const session = await this.#connected(deadline);
    const { head, revision } = await deadline.retry("reading the head", () => this.#reader.head(session));
    const first = newestFirst ? 1 : (fromSeq ?? 1);
    const last = newestFirst ? Math.min(fromSeq ?? head.tip.seq, head.tip.seq) : head.tip.seq;
    let seqs: number[];
    if (epoch === undefined && kind === undefined) {
      const count = Math.max(0, Math.min(limit, last - Math.max(first, 1) + 1));
      seqs = Array.from({ length: count }, (_, i) => (newestFirst ? last - i : Math.max(first, 1) + i));
    } else {
      const by = { ...(epoch === undefined ? {} : { epoch }), ...(kind === undefined ? {} : { kind }) };
      const listed = await this.#reader.list(session, by, revision, deadline);
      seqs = listed.map(({ seq }) => seq).filter((seq) => seq >= first && seq <= last);
      if (newestFirst) seqs.reverse();
      seqs = seqs.slice(0, limit);
    }
    return mapPool(seqs, READ_WIDTH, (seq) => this.#reader.entry(session, seq, revision, deadline));
  }

  async lease(name: string, by: LeaseRequest): Promise<LeaseAnswer> {
    const deadline = this.#deadline();
    const session = () => this.#connected(deadline);
    const leads = name === LEADER_LEASE;
    // A bucket that was lost must not give out a token again that the head has seen.
    const { term } = leads && by.token === undefined ? await this.head() : { term: 0 };
    const { renewed, ...answer } = await takeLease(session, deadline, name, by, {
      wallMs: this.#settings.wallMs,
      aboveToken: term,
    });
    if (!answer.granted || !leads || renewed) return answer;
    // The token counts from the moment the head carries it: that is what refuses the writes of the holder before.
    let overtaken = false;
    await this.#write(async ({ head }) => {
      overtaken = head.term > answer.token;
      return { head: { term: Math.max(head.term, answer.token) } };
    }, deadline);
    return overtaken ? { granted: false, holder: "another server", expiresAtMs: answer.expiresAtMs } : answer;
  }

  async readLease(name: string): Promise<StandingLease | null> {
    const deadline = this.#deadline();
    return standingLease(await this.#connected(deadline), deadline, name);
  }

  async tables(digests: readonly bigint[]): Promise<Map<bigint, EncodedTable>> {
    const deadline = this.#deadline();
    return this.#tables.get(await this.#connected(deadline), digests, deadline);
  }

  async keep(name: string, text: string, { term }: { term: number }): Promise<void> {
    const deadline = this.#deadline();
    await putKeepsake(
      () => this.#connected(deadline),
      deadline,
      { name, text, term },
      async () => {
        fence(await this.head(), term);
      },
    );
  }

  async kept(name: string): Promise<Keepsake | null> {
    const deadline = this.#deadline();
    return standingKeepsake(() => this.#connected(deadline), deadline, name);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const session = await this.#session?.catch(() => null);
    await session?.close();
  }

  async #shelve(
    session: NatsSession,
    { record }: Checkpoint<"active">,
    tables: readonly EncodedTable[],
    deadline: Deadline,
  ): Promise<void> {
    await this.#tables.put(session, tables, deadline);
    const given = new Set(tables.map(({ digest }) => digest));
    await mapPool(record.tables, READ_WIDTH, async ({ digest, service }) => {
      const key = BigInt(`0x${digest}`);
      if (!given.has(key) && !(await this.#tables.has(session, key, deadline))) {
        throw new Error(`the table ${digest} of ${service} is neither given nor stored`);
      }
    });
  }

  #write(
    decide: (found: StoredHead, session: NatsSession) => Promise<HeadChange>,
    deadline = this.#deadline(),
  ): Promise<Written> {
    const { wallMs } = this.#settings;
    const session = () => this.#connected(deadline);
    return headTransaction({ session, reader: this.#reader, layout: this.#layout, deadline, wallMs, decide });
  }

  #deadline(): Deadline {
    return new Deadline(this.#settings.timeoutMs);
  }

  /** The session, made anew when its connection has given up. */
  async #connected(deadline: Deadline): Promise<NatsSession> {
    if (this.#closed) throw new Error("the store is closed");
    const session = await this.#session;
    if (session !== null && !session.nc.isClosed()) return session;
    const opening = NatsSession.open(this.#settings, this.#layout, deadline);
    this.#session = opening;
    try {
      return await opening;
    } catch (error) {
      if (this.#session === opening) this.#session = null;
      throw error;
    }
  }
}

function fence(head: Head, term: number): void {
  if (term !== head.term) throw new BallastError("STORE_FENCED", `the write has term ${term}, the store ${head.term}`);
}

function expectHead(head: Head, expectedEpoch: number): void {
  if (head.epoch !== expectedEpoch) throw conflict(`the head is epoch ${head.epoch}, not ${expectedEpoch}`);
}

function conflict(what: string): BallastError {
  return new BallastError("STORE_CONFLICT", what);
}
