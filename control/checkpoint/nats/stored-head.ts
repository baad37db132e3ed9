import type { StoredMsg } from "@nats-io/jetstream";
import { BallastError } from "../../../common/errors.ts";
import { GENESIS } from "../chain.ts";
import { sha256Hex } from "../record.ts";
import type { Head } from "../store.ts";

/** The newest head message. Every write replaces it by compare-and-swap on its stream sequence, so it also fences. */
export interface StoredHead {
  head: Head;
  /** Stream sequence of the message; 0 before the first. */
  revision: number;
  /** Fleet of the epoch in force; null before the first. */
  fleet: string | null;
}

/** Header of a head message that names the write: to find out whether one without an answer was stored. */
export const WRITER_HEADER = "Ballast-Write";

/** Header of an entry and of a head: SHA-256 of the message's text (of an entry's, over all its chunks). */
export const HASH_HEADER = "Ballast-Hash";

export const EMPTY_HEAD: StoredHead = {
  head: { epoch: 0, seq: 0, reservedEpoch: 0, term: 0, tip: { seq: 0, hash: GENESIS } },
  revision: 0,
  fleet: null,
};

export function encodeHead(head: Head, fleet: string | null): string {
  return JSON.stringify({ layout: 1, ...head, fleet });
}

/** STORE_CORRUPT for a message that is not a head as it was written; STORE_UNREADABLE for one of a later version. */
export function decodeHead(message: StoredMsg): StoredHead {
  if (sha256Hex(message.string()) !== message.header?.get(HASH_HEADER))
    throw new BallastError("STORE_CORRUPT", `the head at ${message.seq} does not hash to its hash`);
  let found: Partial<Head> & { layout?: unknown; fleet?: unknown };
  try {
    found = message.json();
  } catch (cause) {
    throw new BallastError("STORE_CORRUPT", `the head at ${message.seq} is not JSON`, { cause });
  }
  const { layout, epoch, seq, reservedEpoch, term, tip, fleet } = found;
  if (layout !== 1)
    throw new BallastError("STORE_UNREADABLE", `the head at ${message.seq} has layout ${String(layout)}`);
  const numbers = [epoch, seq, reservedEpoch, term, tip?.seq];
  if (numbers.some((value) => !Number.isSafeInteger(value) || value! < 0) || typeof tip?.hash !== "string") {
    throw new BallastError("STORE_CORRUPT", `the head at ${message.seq} is incomplete`);
  }
  return {
    head: {
      epoch: epoch!,
      seq: seq!,
      reservedEpoch: reservedEpoch!,
      term: term!,
      tip: { seq: tip.seq, hash: tip.hash },
    },
    revision: message.seq,
    fleet: typeof fleet === "string" ? fleet : null,
  };
}
