import type { KvEntry } from "@nats-io/kv";
import { BallastError } from "../../../common/errors.ts";
import { sha256Hex } from "../record.ts";
import { checkKeepsake, type Keepsake } from "../store.ts";
import { splitChunks } from "./chunks.ts";
import type { Deadline } from "./deadline.ts";
import { isConflict, isTransient, jsErrorCode, NATS_HINT, storeError } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";

/** First line of a keepsake's value; its text follows, in further chunks where one message has no room for it. */
interface Header {
  name: string;
  term: number;
  sum: string;
  /** Where the further chunks lie: a writer takes the other one, so that a reader of the old value is not given the new one's. */
  slot: 0 | 1;
  /** Of the whole value, this one included; of fixed width, since it tells the length of its own line too. */
  chunks: string;
}

const CHUNK_DIGITS = 4;
/** More than half a megabyte has in the smallest messages that a server is taken with. */
const MAX_CHUNKS = 1024;

/** A key, what it is to hold, and what it held when it was looked at: the write is refused when that has changed. */
interface Place {
  at: string;
  value: Uint8Array;
  before: KvEntry | null;
}

/** Keepsakes lie in the bucket of the leases. Their names have letters that a key may not have, so a key is a hash. */
function keyOf(name: string): string {
  return `keepsake_${sha256Hex(name).slice(0, 32)}`;
}

function chunkKey(key: string, slot: 0 | 1, chunk: number): string {
  return `${key}_${slot}_${chunk}`;
}

function sumOf(name: string, { term, text }: Keepsake): string {
  return sha256Hex(JSON.stringify([name, term, text]));
}

/** What is kept under a name; null when nothing is. STORE_CORRUPT. */
export async function standingKeepsake(
  session: () => Promise<NatsSession>,
  deadline: Deadline,
  name: string,
): Promise<Keepsake | null> {
  const key = keyOf(name);
  for (;;) {
    const { leases } = await session();
    const get = (at: string) => deadline.retry("reading a keepsake", () => leases.get(at));
    const found = present(await get(key));
    if (found === null) return null;
    const read = headerOf(found);
    if (read !== null) {
      const { header, first } = read;
      const parts = [first];
      for (let i = 1; i < Number(header.chunks); i++) {
        const part = present(await get(chunkKey(key, header.slot, i)));
        if (part === null) break;
        parts.push(part.value);
      }
      const keepsake = { text: Buffer.concat(parts).toString("utf8"), term: header.term };
      if (header.name === name && sumOf(name, keepsake) === header.sum) return keepsake;
    }
    // Another server may have replaced it between two reads.
    if ((await get(key))?.revision === found.revision)
      throw new BallastError("STORE_CORRUPT", `keepsake ${name}: its text does not make its sum`);
    if (deadline.over) throw unreadable(`the keepsake ${name} was replaced as often as it was read`);
    await deadline.pause();
  }
}

/**
 * Replaces a keepsake on the revisions that were found, after `fenced` has let the term pass: of a server that lost its lease in
 * between, the successor's first write is refused or overwrites it. The head's comparison does not cover it: nothing that serves depends on
 * a keepsake. Cut to what one message may carry; it counts from the write of its first chunk on, which comes last.
 */
export async function putKeepsake(
  session: () => Promise<NatsSession>,
  deadline: Deadline,
  { name, ...keepsake }: Keepsake & { name: string },
  fenced: () => Promise<void>,
): Promise<void> {
  checkKeepsake(name, keepsake.text);
  const key = keyOf(name);
  const sum = sumOf(name, keepsake);
  let behind: Place[] = [];
  for (let tries = 0; ; tries++) {
    const { leases, maxPayloadBytes } = await session();
    const get = (at: string) => deadline.retry("reading a keepsake", () => leases.get(at));
    const put = ({ at, value, before }: Place) =>
      before === null ? leases.create(at, value) : leases.update(at, value, before.revision);
    // Only room is lost with what is not emptied: another writer took the slot already, or it is written over at its next turn.
    const tidy = async () => {
      for (const place of behind) await put(place).catch(() => undefined);
    };
    const found = await get(key);
    const old = present(found) === null ? null : headerOf(found!)?.header;
    // A try before this one was stored after all.
    if (tries > 0 && old?.sum === sum) return tidy();
    const slot = old?.slot === 0 ? 1 : 0;
    const [first, ...more] = encode(name, keepsake, slot, maxPayloadBytes);
    const ahead: Place[] = [];
    for (const [i, value] of more.entries()) {
      const at = chunkKey(key, slot, i + 1);
      ahead.push({ at, value, before: await get(at) });
    }
    behind = [];
    for (let i = 1; i < Number(old?.chunks ?? 0); i++) {
      const at = chunkKey(key, old!.slot, i);
      behind.push({ at, value: new Uint8Array(), before: await get(at) });
    }
    await fenced();
    try {
      for (const place of ahead) await put(place);
      await put({ at: key, value: first!, before: found });
      return await tidy();
    } catch (error) {
      if (!isConflict(jsErrorCode(error)) && !isTransient(error)) throw storeError(error, "keeping");
      if (deadline.over) throw unreadable(`the keepsake ${name} was not stored in time`, error);
    }
    await deadline.pause();
  }
}

function present(entry: KvEntry | null): KvEntry | null {
  return entry !== null && entry.operation === "PUT" ? entry : null;
}

function encode(name: string, keepsake: Keepsake, slot: 0 | 1, maxPayloadBytes: number): Uint8Array[] {
  const text = Buffer.from(keepsake.text, "utf8");
  const whole = (chunks: number) => {
    const header: Header = {
      name,
      term: keepsake.term,
      sum: sumOf(name, keepsake),
      slot,
      chunks: `${chunks}`.padStart(CHUNK_DIGITS, "0"),
    };
    return splitChunks(Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), text]), maxPayloadBytes);
  };
  return whole(whole(0).length);
}

/** Null for what no server has written so; a sum that is missing or wrong is found by its reader. */
function headerOf({ value }: KvEntry): { header: Header; first: Uint8Array } | null {
  const end = value.indexOf(0x0a);
  try {
    const header = JSON.parse(Buffer.from(value.subarray(0, Math.max(0, end))).toString("utf8")) as Header;
    const counted = /^\d{4}$/.test(header.chunks) && Number(header.chunks) <= MAX_CHUNKS;
    const sound = (header.slot === 0 || header.slot === 1) && counted;
    return sound ? { header, first: value.subarray(end + 1) } : null;
  } catch {
    return null;
  }
}

function unreadable(what: string, cause?: unknown): BallastError {
  return new BallastError("STORE_UNREADABLE", what, { hint: NATS_HINT, ...(cause === undefined ? {} : { cause }) });
}
