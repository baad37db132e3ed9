import { createReadStream } from "node:fs";
import { type Anchor, AnchorWatch } from "./anchor.ts";
import type { AuditReport } from "./audit.ts";
import { type ChainFault, type Entry, GENESIS, seal } from "./chain.ts";
import { LogWalk } from "./log-walk.ts";
import { sha256Hex } from "./record.ts";
import type { CheckpointStore } from "./store.ts";

const PAGE = 100;
/** As the log's own bound on an entry, with its hash. */
const MAX_LINE_BYTES = 17 << 20;
const NEWLINE = 0x0a;

/**
 * The whole log, one line per entry: `{"hash":"…","entry":{…}}`, where the SHA-256 of the text behind `"entry":` up to the last brace
 * is the hash; and a last line `{"end":{"entries":…,"tip":"…"}}` without which an export is not whole.
 */
export async function* exportLog(store: CheckpointStore): AsyncGenerator<string> {
  let end = { entries: 0, tip: GENESIS };
  for (;;) {
    const page = await store.history({ fromSeq: end.entries + 1, limit: PAGE });
    for (const { hash, ...body } of page) {
      yield `{"hash":"${hash}","entry":${seal(body).line}}`;
      end = { entries: body.seq, tip: hash };
    }
    if (page.length === 0) break;
  }
  yield JSON.stringify({ end });
}

/** Holds an exported log against its own hashes, without any store. Rejects with the file's own errors. */
export async function auditExport(file: string, anchor: Anchor | null = null): Promise<AuditReport> {
  const watch = new AnchorWatch(anchor);
  const walk = new LogWalk();
  const report = (faults: ChainFault[]): AuditReport => ({
    ok: faults.length === 0,
    entries: walk.entries,
    tip: walk.tip,
    tables: 0,
    faults,
  });
  let ended = false;
  for await (const bytes of lines(file)) {
    const seq = walk.entries + 1;
    const what = ended ? "comes after the line that ends the export" : judge(bytes, walk, watch);
    if (what === "end") ended = true;
    else if (what !== null) return report([{ seq, what }]);
  }
  const missing = ended ? watch.end(walk.entries) : `the export ends after entry ${walk.entries} without its last line`;
  return report(missing === null ? [] : [{ seq: null, what: missing }]);
}

/** What is wrong with a line, null for a sound entry, or "end". */
function judge(bytes: Buffer, walk: LogWalk, watch: AnchorWatch): string | null {
  if (bytes.length > MAX_LINE_BYTES) return `has more than ${MAX_LINE_BYTES} bytes`;
  const line = bytes.toString("utf8");
  if (line.startsWith('{"end":')) {
    const { entries, tip } = walk;
    return line === JSON.stringify({ end: { entries, tip } }) ? "end" : `is not the end of ${entries} entries`;
  }
  const [, hash, text] = /^\{"hash":"([0-9a-f]{64})","entry":(\{.*\})\}$/s.exec(line) ?? [];
  if (hash === undefined || text === undefined) return "is not a line of an export";
  if (sha256Hex(text) !== hash) return "its text does not hash to its hash";
  try {
    const entry: Entry = { ...(JSON.parse(text) as Omit<Entry, "hash">), hash };
    return walk.step(entry) ?? watch.step(entry.seq, hash);
  } catch {
    // Whoever wrote it could make a hash, but not what a server writes.
    return "is no entry of a log";
  }
}

/**
 * The lines of a file by its bytes 0x0a and nothing else: readline also ends a line at U+2028, which a reason may hold, and
 * takes `\r` for `\n`, which would be a changed byte that nobody sees. What follows the last newline is a line too, unless empty.
 */
async function* lines(file: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let held = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      yield Buffer.concat([...rest, chunk.subarray(from, at)]);
      rest = [];
      held = 0;
      from = at + 1;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
    held += chunk.length - from;
    if (held > MAX_LINE_BYTES) break;
  }
  if (held > 0) yield Buffer.concat(rest);
}
