import { digestHex, parseDigestHex } from "../../common/xxh64.ts";
import type { EncodedTable, TableSet } from "../table/table.ts";
import type { EncodedRelease } from "./encoded-release.ts";
import type { FleetStream } from "./fleet-stream.ts";
import type { NodeEntry } from "./nodes.ts";
import { type EncodedResponse, encodeTables, versionOf } from "./resources.ts";

/** Sets before those in force whose tables are kept for nodes that ask. */
const KEPT_BEFORE = 2;
/** A handful of lists covers a fleet whose nodes missed the same epochs. */
const MAX_RESPONSES = 64;

type TableResponse = EncodedResponse & { count: number };

/** The tables that nodes may ask for: those of the sets in force, of two before them, and of the set that is staged. */
export class FleetTables {
  readonly #maxNames: number;
  /** Newest first. */
  #kept: TableSet[] = [];
  /** Sets in force: two while a cohort goes ahead. */
  #inForce = 1;
  #staged: EncodedRelease | null = null;
  #tables: Map<bigint, EncodedTable> = new Map();
  /** The last table response of each list of digests, so that a whole fleet that asks alike is served one encoding. */
  #responses = new Map<string, TableResponse>();
  /** Per staged set: what it changes against those in force, when one response carries it. Sent along with the Stage. */
  #offers: { digests: readonly bigint[]; response: TableResponse }[] = [];

  constructor(maxNames: number) {
    this.#maxNames = maxNames;
  }

  commit({ sets }: EncodedRelease): void {
    const digests = new Set(sets.map((set) => set.digest));
    const earlier = this.#kept.filter((set) => !digests.has(set.digest));
    this.#inForce = sets.length;
    this.#kept = [...sets, ...earlier].slice(0, this.#inForce + KEPT_BEFORE);
    this.#index();
  }

  /** Earlier sets, newest first, as far as there is room. */
  keep(sets: readonly TableSet[]): void {
    for (const set of sets) {
      if (this.#kept.length >= this.#inForce + KEPT_BEFORE) break;
      if (!this.#kept.some((other) => other.digest === set.digest)) this.#kept.push(set);
    }
    this.#index();
  }

  /** Null: nothing is staged any more, and nothing offered. */
  stage(staged: EncodedRelease | null): void {
    this.#staged = staged;
    if (staged === null) this.#offers = [];
    this.#index();
  }

  /** The next tables that the stream asked for or was offered, under this version; null when it wants none or waits for an answer. */
  next(stream: FleetStream<unknown>, version: string): TableResponse | null {
    const subscription = stream.subscriptions.table;
    if (stream.wanted.length === 0 || subscription.awaiting) return null;
    const offer = this.#offers.find(({ digests }) => digests === stream.wanted);
    if (offer !== undefined) return offer.response;
    // Sets may have been dropped since the request; what is gone cannot be served any more.
    stream.wanted = stream.wanted.filter((digest) => this.#tables.has(digest));
    if (stream.wanted.length === 0) return null;
    const key = `${version}/${stream.wanted.join()}`;
    let response = this.#responses.get(key);
    if (response === undefined || response.nonce === subscription.nonce) {
      const again = response !== undefined;
      response = encodeTables(
        version,
        stream.wanted.map((digest) => this.#tables.get(digest)!),
        again,
      );
      // The oldest makes room.
      if (this.#responses.size >= MAX_RESPONSES) this.#responses.delete(this.#responses.keys().next().value!);
      if (!again) this.#responses.set(key, response);
    }
    return response;
  }

  /**
   * Sends the tables that no kept set has right behind the Stage to every node that holds the set in force: it lacks these. Its own request for them crosses the response and is stale. That saves a round trip, and per node a write
   * and a read of the server's; the filter takes tables of the set that it is staging whether or not it has asked yet.
   */
  offer(staged: EncodedRelease, committed: EncodedRelease, voters: readonly NodeEntry<FleetStream<unknown>>[]): void {
    // Nodes keep the last sets as we do; should one of them lack an earlier table, it asks.
    const held = new Set(this.#kept.flatMap((set) => set.tables.map((table) => table.digest)));
    for (const set of staged.sets) {
      const changed = set.tables.filter((table) => !held.has(table.digest));
      if (changed.length === 0 || changed.length > this.#maxNames) continue;
      const version = versionOf(staged.epoch, set.digest);
      const response = encodeTables(version, changed, false);
      if (response.count < changed.length) continue;
      const offer = { digests: changed.map((table) => table.digest), response };
      this.#offers.push(offer);
      for (const { stream, stagedVersion, position } of voters) {
        if (stream === null || stream.wanted.length > 0 || staged.versionAt(position) !== version) continue;
        if (stagedVersion !== committed.versionAt(position)) continue;
        const { started, awaiting } = stream.subscriptions.table;
        if (started && !awaiting) stream.wanted = offer.digests;
      }
    }
  }

  /** Notes what a stream asks for; the names that are not held come back. */
  ask(stream: FleetStream<unknown>, asked: readonly string[]): string[] {
    const names = stream.subscriptions.table.names;
    const wanted = new Set(stream.wanted.filter((digest) => names.has(digestHex(digest))));
    const unknown: string[] = [];
    for (const name of asked) {
      const digest = parseDigestHex(name);
      if (digest !== null && this.#tables.has(digest)) wanted.add(digest);
      else unknown.push(name);
    }
    stream.wanted = [...wanted];
    return unknown;
  }

  #index(): void {
    this.#tables = new Map();
    for (const set of [...this.#kept, ...(this.#staged?.sets ?? [])]) {
      for (const table of set.tables) this.#tables.set(table.digest, table);
    }
    this.#responses.clear();
  }
}
