import { BallastError } from "../../../common/errors.ts";
import { digestHex } from "../../../common/xxh64.ts";
import { decodeTable, tableDigest } from "../../table/codec.ts";
import type { EncodedTable } from "../../table/table.ts";
import { publishBatch } from "./atomic-batch.ts";
import { splitChunks } from "./chunks.ts";
import type { Deadline } from "./deadline.ts";
import { CHUNKS_HEADER } from "./log-reader.ts";
import { NATS_HINT } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";
import { mapPool } from "./pool.ts";
import type { StreamLayout } from "./stream-layout.ts";

/** Requests under way at a time; a set has up to 1,000 tables. */
const WIDTH = 32;

/**
 * Weight tables by their digest. They are put there before the commit that names them: a batch has room for 1,000 messages
 * only, and a table that no record names harms nobody.
 */
export class TableShelf {
  readonly #layout: StreamLayout;

  constructor(layout: StreamLayout) {
    this.#layout = layout;
  }

  /** Stores those that are not there yet; each whole or not at all. */
  async put(session: NatsSession, tables: readonly EncodedTable[], deadline: Deadline): Promise<void> {
    await mapPool(tables, WIDTH, async (table) => {
      const { digest, bytes } = table;
      if (tableDigest(bytes) !== digest) throw new Error("a table to be stored does not have its digest");
      while (!(await this.has(session, digest, deadline))) {
        const parts = splitChunks(bytes, session.maxPayloadBytes);
        // The first chunk comes last, with the expectation that there is none: where it is, all are.
        const messages = parts.map((payload, i) => ({
          subject: this.#layout.tableSubject(digest, i),
          payload,
          headers: { [CHUNKS_HEADER]: `${parts.length}` },
        }));
        const outcome = await publishBatch(session, messages.reverse(), 0, deadline.tryMs);
        if (outcome.kind === "stored") return;
        if (outcome.kind === "refused" || (outcome.kind === "unknown" && deadline.over)) {
          const why = outcome.cause instanceof Error ? outcome.cause.message : String(outcome.cause);
          throw new BallastError(
            "STORE_UNREADABLE",
            `NATS did not store the weight table ${digestHex(digest)}: ${why}`,
            {
              cause: outcome.cause,
              hint: NATS_HINT,
            },
          );
        }
        if (outcome.kind === "unknown") await deadline.pause();
      }
    });
  }

  async has(session: NatsSession, digest: bigint, deadline: Deadline): Promise<boolean> {
    return (await this.#chunk(session, digest, 0, deadline)) !== null;
  }

  /** Verified tables; digests that are not stored are absent. STORE_CORRUPT. */
  async get(session: NatsSession, digests: readonly bigint[], deadline: Deadline): Promise<Map<bigint, EncodedTable>> {
    const found = await mapPool(digests, WIDTH, async (digest) => {
      const first = await this.#chunk(session, digest, 0, deadline);
      if (first === null) return null;
      try {
        const parts = [first.data];
        const chunks = Number(first.header.get(CHUNKS_HEADER));
        for (let i = 1; i < chunks; i++) {
          const part = await this.#chunk(session, digest, i, deadline);
          if (part === null) throw new Error(`part ${i + 1} of ${chunks} is missing`);
          parts.push(part.data);
        }
        const bytes = new Uint8Array(Buffer.concat(parts));
        const { service } = decodeTable(bytes);
        if (tableDigest(bytes) !== digest) throw new Error("its bytes have another digest");
        return { service, digest, bytes };
      } catch (cause) {
        if (cause instanceof BallastError && cause.code === "STORE_UNREADABLE") throw cause;
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new BallastError("STORE_CORRUPT", `weight table ${digestHex(digest)}: ${why}`, { cause });
      }
    });
    return new Map(found.filter((table) => table !== null).map((table) => [table.digest, table]));
  }

  #chunk({ jsm }: NatsSession, digest: bigint, chunk: number, deadline: Deadline) {
    const query = { last_by_subj: this.#layout.tableSubject(digest, chunk) };
    return deadline.retry("reading a table", () => jsm.streams.getMessage(this.#layout.stream, query));
  }
}
