import type { SQLInputValue } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { decodeTable, tableDigest } from "../table/codec.ts";
import type { EncodedTable } from "../table/table.ts";
import { type Entry, type EntryBody, GENESIS, seal, stateOf, unseal } from "./chain.ts";
import { checkCommit } from "./commit-gate.ts";
import type { Checkpoint } from "./moves.ts";
import { SqliteFile } from "./sqlite-file.ts";
import { type KeepsakeRow, keepsakeSum, type LeaseRow, leaseSum } from "./sqlite-schema.ts";
import {
  type CheckpointStore,
  checkKeepsake,
  type Head,
  type HistoryQuery,
  type Keepsake,
  LEADER_LEASE,
  type LeaseAnswer,
  type LeaseRequest,
  type StandingLease,
} from "./store.ts";

export interface SqliteStoreOptions {
  /** File; its folder is made when missing. Must be on a local disk: WAL does not work over network file systems. */
  path: string;
  /** Wall clock, for entries and leases. Default Date.now. */
  wallMs?: () => number;
  /** How often `watch` looks for entries of other processes. Default 200 ms. */
  watchMs?: number;
  /** How long a write waits for another process's write. Default 5,000 ms. */
  busyMs?: number;
}

/** The default store: one file (`SqliteFile`), and the verbs of a store on it. */
export class SqliteStore implements CheckpointStore {
  readonly #file: SqliteFile;
  readonly #wallMs: () => number;
  readonly #watchMs: number;

  private constructor(file: SqliteFile, options: SqliteStoreOptions) {
    this.#file = file;
    this.#wallMs = options.wallMs ?? Date.now;
    this.#watchMs = options.watchMs ?? 200;
  }

  /** Opens or creates. STORE_UNREADABLE for a file that is not ours, cannot be written or has another layout. */
  static open(options: SqliteStoreOptions): SqliteStore {
    return new SqliteStore(SqliteFile.open(options.path, options.busyMs ?? 5_000), options);
  }

  async head(): Promise<Head> {
    return this.#file.read(() => this.#head());
  }

  async reserve(expectedEpoch: number, by: { holder: string; term: number; atLeast?: number }): Promise<number> {
    return this.#file.write(() => {
      const head = this.#head();
      this.#fence(head, by.term);
      expectHead(head, expectedEpoch);
      const epoch = Math.max(head.reservedEpoch, by.atLeast ?? 0) + 1;
      if (!Number.isSafeInteger(epoch)) throw new BallastError("STORE_CONFLICT", `${epoch} is beyond the last epoch`);
      this.#add({ kind: "reserve", epoch, expectedEpoch, holder: by.holder }, by.term);
      this.#file.run("UPDATE head SET reserved = ?", epoch);
      return epoch;
    });
  }

  async commit(
    expectedEpoch: number,
    checkpoint: Checkpoint<"active">,
    tables: readonly EncodedTable[],
  ): Promise<Head> {
    return this.#file.write(() => {
      const head = this.#head();
      const { record } = checkpoint;
      this.#fence(head, record.term);
      expectHead(head, expectedEpoch);
      if (record.parent !== expectedEpoch) {
        throw new BallastError(
          "STORE_CONFLICT",
          `epoch ${record.epoch} follows ${record.parent}, not ${expectedEpoch}`,
        );
      }
      const reserved =
        this.#file.get("SELECT 1 FROM log WHERE epoch = ? AND kind = 'reserve'", record.epoch) !== undefined;
      if (!reserved || record.epoch <= head.epoch) {
        throw new BallastError(
          "STORE_CONFLICT",
          `epoch ${record.epoch} was not reserved, or lies behind ${head.epoch}`,
        );
      }
      const state = this.#stateOfEpoch(record.epoch);
      if (state !== null) throw new BallastError("STORE_CONFLICT", `epoch ${record.epoch} is ${state} already`);
      checkCommit(checkpoint, tables, this.#fleetAt(head.seq));
      for (const { digest, bytes } of tables) {
        this.#file.run("INSERT OR IGNORE INTO weight_table VALUES (?, ?)", digestHex(digest), bytes);
      }
      for (const { digest, service } of record.tables) {
        if (this.#file.get("SELECT 1 FROM weight_table WHERE digest = ?", digest) === undefined) {
          throw new Error(`the table ${digest} of ${service} is neither given nor stored`);
        }
      }
      const entry = this.#add({ kind: "checkpoint", epoch: record.epoch, checkpoint }, record.term);
      this.#file.run("UPDATE head SET epoch = ?, seq = ?", record.epoch, entry.seq);
      return this.#head();
    });
  }

  async append(body: Exclude<EntryBody, { kind: "reserve" }>, by: { term: number }): Promise<Entry> {
    return this.#file.write(() => {
      this.#fence(this.#head(), by.term);
      if (body.kind === "checkpoint") {
        const { state } = body.checkpoint;
        if (state !== "refused" && state !== "aborted")
          throw new Error(`a checkpoint that is ${state} must be committed`);
      }
      const state = body.epoch === null ? null : this.#stateOfEpoch(body.epoch);
      if (body.kind === "move" && state !== body.move.from) {
        throw new BallastError("STORE_CONFLICT", `epoch ${body.epoch} is ${state ?? "unknown"}, not ${body.move.from}`);
      }
      if (body.kind === "checkpoint" && state !== null) {
        throw new BallastError("STORE_CONFLICT", `epoch ${body.epoch} is ${state} already`);
      }
      return this.#add(body, by.term);
    });
  }

  async *watch(fromSeq: number, options: { signal: AbortSignal }): AsyncGenerator<Entry> {
    let next = fromSeq;
    while (!options.signal.aborted) {
      const entries = await this.history({ fromSeq: next, limit: 100 });
      for (const entry of entries) {
        yield entry;
        next = entry.seq + 1;
      }
      if (entries.length === 0) await sleep(this.#watchMs, undefined, { signal: options.signal }).catch(() => {});
    }
  }

  async history(query: HistoryQuery = {}): Promise<Entry[]> {
    const { fromSeq, limit = 100, epoch, kind, newestFirst = false } = query;
    if (!(limit >= 1 && limit <= 1000)) throw new Error(`limit is ${limit}`);
    const conditions = ["1"];
    const values: SQLInputValue[] = [];
    if (fromSeq !== undefined) {
      conditions.push(newestFirst ? "seq <= ?" : "seq >= ?");
      values.push(fromSeq);
    }
    if (epoch !== undefined) {
      conditions.push("epoch = ?");
      values.push(epoch);
    }
    if (kind !== undefined) {
      conditions.push("kind = ?");
      values.push(kind);
    }
    const order = newestFirst ? "DESC" : "ASC";
    const sql = `SELECT line, hash FROM log WHERE ${conditions.join(" AND ")} ORDER BY seq ${order} LIMIT ?`;
    return this.#file.read(() => {
      const rows = this.#file.all(sql, ...values, limit) as { line: string; hash: string }[];
      return rows.map(({ line, hash }) => unseal(line, hash));
    });
  }

  async lease(name: string, by: LeaseRequest): Promise<LeaseAnswer> {
    return this.#file.write(() => {
      const now = this.#wallMs();
      const expiresAtMs = now + by.ttlMs;
      const row = this.#file.get("SELECT holder, token, expires_ms AS expires FROM lease WHERE name = ?", name) as
        | { holder: string; token: number; expires: number }
        | undefined;
      if (row === undefined) {
        const sum = leaseSum({ name, holder: by.holder, token: 1, expires_ms: expiresAtMs });
        this.#file.run("INSERT INTO lease VALUES (?, ?, 1, ?, ?)", name, by.holder, expiresAtMs, sum);
        return { granted: true, token: 1, expiresAtMs };
      }
      // A renewal may come late: as long as nobody else took the lease, it is still this holder's under the same token.
      const renews = by.token === row.token && by.holder === row.holder;
      const free = row.expires <= now || row.expires === by.unrenewedMs || row.holder === by.holder;
      if (!renews && (by.token !== undefined || !free)) {
        return { granted: false, holder: row.holder, expiresAtMs: row.expires };
      }
      const token = renews ? row.token : row.token + 1;
      this.#file.run(
        "UPDATE lease SET holder = ?, token = ?, expires_ms = ?, sum = ? WHERE name = ?",
        by.holder,
        token,
        expiresAtMs,
        leaseSum({ name, holder: by.holder, token, expires_ms: expiresAtMs }),
        name,
      );
      return { granted: true, token, expiresAtMs };
    });
  }

  async readLease(name: string): Promise<StandingLease | null> {
    return this.#file.read(() => {
      const row = this.#file.get("SELECT name, holder, token, expires_ms, sum FROM lease WHERE name = ?", name) as
        | LeaseRow
        | undefined;
      if (row === undefined) return null;
      if (leaseSum(row) !== row.sum)
        throw new BallastError("STORE_CORRUPT", `lease ${name}: its fields do not make its sum`);
      return { holder: row.holder, token: row.token, expiresAtMs: row.expires_ms };
    });
  }

  async tables(digests: readonly bigint[]): Promise<Map<bigint, EncodedTable>> {
    return this.#file.read(() => {
      const found = new Map<bigint, EncodedTable>();
      for (const digest of digests) {
        const row = this.#file.get("SELECT bytes FROM weight_table WHERE digest = ?", digestHex(digest)) as
          | { bytes: Uint8Array }
          | undefined;
        if (row === undefined) continue;
        try {
          const { service } = decodeTable(row.bytes);
          if (tableDigest(row.bytes) !== digest) throw new Error("its bytes have another digest");
          found.set(digest, { service, digest, bytes: row.bytes });
        } catch (cause) {
          const why = cause instanceof Error ? cause.message : String(cause);
          throw new BallastError("STORE_CORRUPT", `weight table ${digestHex(digest)}: ${why}`, { cause });
        }
      }
      return found;
    });
  }

  async keep(name: string, text: string, { term }: { term: number }): Promise<void> {
    checkKeepsake(name, text);
    this.#file.write(() => {
      this.#fence(this.#head(), term);
      const sum = keepsakeSum({ name, term, text });
      this.#file.run("INSERT OR REPLACE INTO keepsake VALUES (?, ?, ?, ?)", name, term, text, sum);
    });
  }

  async kept(name: string): Promise<Keepsake | null> {
    return this.#file.read(() => {
      const row = this.#file.get("SELECT name, term, text, sum FROM keepsake WHERE name = ?", name) as
        | KeepsakeRow
        | undefined;
      if (row === undefined) return null;
      if (keepsakeSum(row) !== row.sum)
        throw new BallastError("STORE_CORRUPT", `keepsake ${name}: its text does not make its sum`);
      return { text: row.text, term: row.term };
    });
  }

  async close(): Promise<void> {
    this.#file.close();
  }

  #head(): Head {
    const head = this.#file.get("SELECT epoch, seq, reserved FROM head") as {
      epoch: number;
      seq: number;
      reserved: number;
    };
    const tip = this.#file.get("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1") as
      | { seq: number; hash: string }
      | undefined;
    const lease = this.#file.get("SELECT token FROM lease WHERE name = ?", LEADER_LEASE) as
      | { token: number }
      | undefined;
    return {
      epoch: head.epoch,
      seq: head.seq,
      reservedEpoch: head.reserved,
      term: lease?.token ?? 0,
      tip: tip === undefined ? { seq: 0, hash: GENESIS } : { seq: tip.seq, hash: tip.hash },
    };
  }

  /** The fleet of the epoch in force; null before the first. */
  #fleetAt(seq: number): string | null {
    const row = this.#file.get("SELECT line, hash FROM log WHERE seq = ?", seq) as
      | { line: string; hash: string }
      | undefined;
    if (row === undefined) return null;
    const { body } = unseal(row.line, row.hash);
    return body.kind === "checkpoint" ? body.checkpoint.record.fleet : null;
  }

  #fence(head: Head, term: number): void {
    if (term !== head.term)
      throw new BallastError("STORE_FENCED", `the write has term ${term}, the store ${head.term}`);
  }

  #stateOfEpoch(epoch: number): string | null {
    const row = this.#file.get(
      "SELECT state FROM log WHERE epoch = ? AND state IS NOT NULL ORDER BY seq DESC LIMIT 1",
      epoch,
    ) as { state: string } | undefined;
    return row?.state ?? null;
  }

  #add(body: EntryBody, term: number): Entry {
    const { tip } = this.#head();
    const entry = { seq: tip.seq + 1, atMs: this.#wallMs(), term, prevHash: tip.hash, body };
    const { line, hash } = seal(entry);
    this.#file.run(
      "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)",
      entry.seq,
      body.epoch,
      body.kind,
      stateOf(body),
      line,
      hash,
    );
    return unseal(line, hash);
  }
}

function expectHead(head: Head, expectedEpoch: number): void {
  if (head.epoch !== expectedEpoch) {
    throw new BallastError("STORE_CONFLICT", `the head is epoch ${head.epoch}, not ${expectedEpoch}`);
  }
}
