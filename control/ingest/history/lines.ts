import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { invalid } from "./imported-history.ts";

const NEWLINE = 0x0a;

/**
 * Lines of a file, gzip when its name ends in `.gz`, with their numbers from 1; a line over `maxLineBytes` comes as null, so that one
 * endless line costs no memory. Throws HISTORY_INVALID when the file cannot be read or unpacked.
 */
export async function* lines(file: string, maxLineBytes = 65_536): AsyncGenerator<[number, string | null]> {
  const raw = createReadStream(file);
  const unpacked = file.endsWith(".gz") ? createGunzip() : null;
  if (unpacked !== null) raw.on("error", (error) => unpacked.destroy(error)).pipe(unpacked);
  let number = 0;
  let parts: Buffer[] = [];
  let held = 0;
  const flush = (): [number, string | null] => {
    const line = held > maxLineBytes ? null : Buffer.concat(parts).toString("utf8").replace(/\r$/, "");
    parts = [];
    held = 0;
    return [++number, line];
  };
  const take = (bytes: Buffer): void => {
    held += bytes.length;
    if (held <= maxLineBytes) parts.push(bytes);
    else parts = [];
  };
  try {
    for await (const chunk of (unpacked ?? raw) as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        take(chunk.subarray(from, end));
        yield flush();
        from = end + 1;
      }
      if (from < chunk.length) take(chunk.subarray(from));
    }
    if (held > 0) yield flush();
  } catch (cause) {
    throw invalid({ file }, `cannot be read: ${(cause as Error).message}`, cause);
  } finally {
    raw.destroy();
  }
}
