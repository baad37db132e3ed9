import type { TableSet } from "../../control/table/table.ts";
import type { Seeded } from "../race/seeded.ts";
import { activation, response, stage, weightTable } from "./messages.ts";
import { mutate } from "./mutate.ts";

const PREFIX_BYTES = 5;

export interface HostileInput {
  bytes: Uint8Array;
  /** True for bytes that go out as they are, without gRPC's prefix. */
  raw: boolean;
}

/** What the server says: mostly readable envelopes with something wrong inside, so that the stream lives on. `set` is never sound as sent. */
export function hostileInput(random: Seeded, set: TableSet): HostileInput {
  const epoch = random.chance(0.7) ? BigInt(random.between(0, 40)) : BigInt(random.u32());
  const term = BigInt(random.below(3));
  const table = random.pick(set.tables);
  const others = set.tables.map(({ bytes }) => bytes);
  const kind = random.pick(["Stage", "WeightTable", "WeightTable", "Activation"] as const);
  const resource = (): Uint8Array => {
    if (kind === "Stage") return stage(epoch, term, random.chance(0.8) ? set.digest : random.u64(), set.tables);
    if (kind === "Activation")
      return activation(epoch, term, random.chance(0.8) ? set.digest : random.u64(), random.below(6));
    return weightTable(table.digest, spoilt(random, table.bytes, others));
  };
  const inner = Array.from({ length: random.pick([1, 1, 1, 1, 0, 3]) }, () => {
    const sound = resource();
    return random.chance(0.5) && kind !== "WeightTable" ? mutate(random, sound, others) : sound;
  });
  const whole = response(kind, inner, random.chance(0.97) ? kind : random.pick(["Stage", "Other", ""]));
  // What ends the stream is rare: whatever is under way behind it is never read.
  const what = random.below(40_000);
  if (what < 4) return { bytes: random.bytes(random.pick([1, 7, 500])), raw: false };
  if (what < 7) return { bytes: new Uint8Array(random.pick([262_145, 1_000_000])).fill(10), raw: false };
  if (what < 9) return { bytes: response("Other", inner), raw: false };
  if (what < 12) return { bytes: random.bytes(random.pick([3, PREFIX_BYTES, 60])), raw: true };
  return { bytes: what < 30 ? mutate(random, whole, others) : whole, raw: false };
}

/** Never the table itself. */
function spoilt(random: Seeded, table: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  for (;;) {
    const bytes = mutate(random, table, others);
    if (!others.some((other) => Buffer.compare(other, bytes) === 0)) return bytes;
  }
}
