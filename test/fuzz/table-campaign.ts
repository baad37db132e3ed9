import { decodeTable, TableError, tableDigest } from "../../control/table/codec.ts";
import { setDigest } from "../../control/table/set.ts";
import type { EncodedTable, WeightTable } from "../../control/table/table.ts";
import { table } from "../host/fixtures.ts";
import { Seeded } from "../race/seeded.ts";
import { response, stage, weightTable } from "./messages.ts";
import { mutate } from "./mutate.ts";
import { Rig, SERVICE } from "./rig.ts";

const DIGEST_OFFSET = 16;

/**
 * Weight tables with anything changed and the digests made right again, so that only the rules of the format stand between them and the
 * workers. The filter must take exactly those that the control server's own reader takes.
 */
export function fuzzTables(seed: number, inputs: number): void {
  const random = new Seeded(seed);
  const rig = new Rig(seed);
  const bases = [
    table(SERVICE, { order: { a: 200, b: 56 } }),
    table(SERVICE, { order: { a: 0, b: 256 }, sticky: { a: 100, b: 156 } }),
    table(SERVICE, { order: { only: 512 } }),
    table(SERVICE, { order: Object.fromEntries(Array.from({ length: 255 }, (_, i) => [`t${i}`, i === 0 ? 2 : 1])) }),
  ];
  const texts = bases.map(({ bytes }) => bytes);
  for (let i = 0; i < inputs; i++) {
    const bytes = spoil(random, random.pick(texts), texts);
    const digest = bytes.length < DIGEST_OFFSET + 8 ? random.u64() : tableDigest(bytes);
    if (bytes.length >= DIGEST_OFFSET + 8 && random.chance(0.98)) {
      new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(DIGEST_OFFSET, digest, true);
    }
    const offered: EncodedTable = { service: SERVICE, digest, bytes };
    const decoded = decode(bytes);
    const sound = decoded !== undefined && decoded.service === SERVICE;
    const set = { digest: setDigest([offered]), tables: [offered] };
    if (sound) rig.learn(set);
    const { seenEpoch, seenTerm } = rig.active;
    rig.deliver(response("Stage", [stage(seenEpoch + 1n, seenTerm, set.digest, set.tables)]));
    const message = response("WeightTable", [weightTable(digest, bytes)]);
    rig.deliver(message);
    const wasAsked = rig.peer.requests.findLast(({ kind }) => kind === "WeightTable")?.message;
    const taken = wasAsked?.errorDetail === undefined;
    if (taken !== sound) {
      throw new Error(
        `the filter ${taken ? "takes" : `refuses (${wasAsked?.errorDetail?.message})`} a table that the control server ${sound ? "takes" : "refuses"}: ${Buffer.from(bytes).toString("base64")}`,
      );
    }
    if (random.chance(0.1)) rig.check();
  }
  rig.check();
  rig.envoy.advance(300);
  rig.goodEpoch(Number(rig.active.seenEpoch) + 1);
  rig.check();
}

function decode(bytes: Uint8Array): WeightTable | undefined {
  try {
    return decodeTable(bytes);
  } catch (thrown) {
    if (thrown instanceof TableError) return undefined;
    throw thrown;
  }
}

function spoil(random: Seeded, base: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const bytes = random.chance(0.05) ? base.slice() : mutate(random, base, others);
  if (random.chance(0.5) && bytes.length >= 24) {
    // Lengths that agree again let a change deeper in.
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(12, bytes.length, true);
  }
  if (random.chance(0.3) && bytes.length > 60) {
    // Two slots swapped, an index changed, a quota moved.
    const at = bytes.length - 1 - random.below(Math.min(bytes.length - 24, 600));
    const to = bytes.length - 1 - random.below(Math.min(bytes.length - 24, 600));
    const kept = bytes[at]!;
    bytes[at] = bytes[to]!;
    bytes[to] = kept;
  }
  return bytes;
}
