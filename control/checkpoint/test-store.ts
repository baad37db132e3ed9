import { BallastError } from "../../common/errors.ts";
import type { EncodedTable } from "../table/table.ts";
import { type Entry, type EntryBody, GENESIS, seal, stateOf } from "./chain.ts";
import { checkCommit } from "./commit-gate.ts";
import type { Checkpoint } from "./moves.ts";
import type { CheckpointStore, Head, HistoryQuery, Keepsake, LeaseAnswer, StandingLease } from "./store.ts";

/** A store of arrays for tests that run thousands of epochs: refuses what the adapters refuse, and forgets all with the test. */
export class TestStore implements CheckpointStore {
  readonly entries: Entry[] = [];
  readonly #tables = new Map<bigint, EncodedTable>();
  readonly #kept = new Map<string, Keepsake>();
  #epoch = 0;
  #reserved = 0;
  #term = 0;

  async head(): Promise<Head> {
    const tip = this.entries.at(-1);
    return {
      epoch: this.#epoch,
      seq: 0,
      reservedEpoch: this.#reserved,
      term: this.#term,
      tip: { seq: tip?.seq ?? 0, hash: tip?.hash ?? GENESIS },
    };
  }

  async reserve(expectedEpoch: number, by: { holder: string; term: number }): Promise<number> {
    this.#expect(expectedEpoch, by.term);
    this.#reserved += 1;
    this.#write({ kind: "reserve", epoch: this.#reserved, expectedEpoch, holder: by.holder });
    return this.#reserved;
  }

  async commit(
    expectedEpoch: number,
    checkpoint: Checkpoint<"active">,
    tables: readonly EncodedTable[],
  ): Promise<Head> {
    const { epoch, parent, term } = checkpoint.record;
    this.#expect(expectedEpoch, term);
    if (parent !== expectedEpoch || epoch <= this.#epoch || epoch > this.#reserved)
      throw new BallastError("STORE_CONFLICT", `epoch ${epoch} on ${parent}`);
    checkCommit(checkpoint, tables, null);
    for (const table of tables) this.#tables.set(table.digest, table);
    this.#epoch = epoch;
    this.#write({ kind: "checkpoint", epoch, checkpoint });
    return this.head();
  }

  async append(body: Exclude<EntryBody, { kind: "reserve" }>, by: { term: number }): Promise<Entry> {
    this.#expect(this.#epoch, by.term);
    if (body.kind === "move") {
      const state = this.entries.map((entry) => (entry.body.epoch === body.epoch ? stateOf(entry.body) : null));
      if (state.findLast((one) => one !== null) !== body.move.from)
        throw new BallastError("STORE_CONFLICT", `epoch ${body.epoch} is not ${body.move.from}`);
    }
    return this.#write(body);
  }

  watch(): AsyncIterable<Entry> {
    throw new Error("not of this store");
  }

  async history(query: HistoryQuery = {}): Promise<Entry[]> {
    const { fromSeq, limit = 100, epoch, kind, newestFirst = false } = query;
    const found = this.entries.filter(
      ({ seq, body }) =>
        (epoch === undefined || body.epoch === epoch) &&
        (kind === undefined || body.kind === kind) &&
        (fromSeq === undefined || (newestFirst ? seq <= fromSeq : seq >= fromSeq)),
    );
    return (newestFirst ? found.reverse() : found).slice(0, limit);
  }

  async lease(): Promise<LeaseAnswer> {
    this.#term += 1;
    return { granted: true, token: this.#term, expiresAtMs: 0 };
  }

  async readLease(): Promise<StandingLease> {
    return { holder: "test", token: this.#term, expiresAtMs: 0 };
  }

  async tables(digests: readonly bigint[]): Promise<Map<bigint, EncodedTable>> {
    return new Map(
      digests.flatMap((digest) => (this.#tables.has(digest) ? [[digest, this.#tables.get(digest)!]] : [])),
    );
  }

  async keep(name: string, text: string, { term }: { term: number }): Promise<void> {
    this.#expect(this.#epoch, term);
    this.#kept.set(name, { text, term });
  }

  async kept(name: string): Promise<Keepsake | null> {
    return this.#kept.get(name) ?? null;
  }

  async close(): Promise<void> {}

  #expect(epoch: number, term: number): void {
    if (epoch !== this.#epoch) throw new BallastError("STORE_CONFLICT", `the head is ${this.#epoch}, not ${epoch}`);
    if (term !== this.#term) throw new BallastError("STORE_FENCED", `term ${term} of ${this.#term}`);
  }

  /** As text and back: whatever does not survive JSON shows here. */
  #write(body: EntryBody): Entry {
    const tip = this.entries.at(-1);
    const content = { seq: this.entries.length + 1, atMs: 0, term: this.#term, prevHash: tip?.hash ?? GENESIS, body };
    const { line, hash } = seal(content);
    const entry = { ...(JSON.parse(line) as Omit<Entry, "hash">), hash };
    this.entries.push(entry);
    return entry;
  }
}
