import type { TableSet } from "../../control/table/table.ts";
import { splitSet } from "../host/fixtures.ts";
import { Seeded } from "../race/seeded.ts";
import { activation, response, stage, weightTable } from "./messages.ts";
import { mutate } from "./mutate.ts";
import { Rig, SERVICE } from "./rig.ts";

const EPOCHS = [0n, 1n, 2n, 3n, 0x7fffffffn, 0xffffffffn, 0x7fffffffffffffffn, 0xffffffffffffffffn];
const TERMS = [0n, 1n, 1n, 1n, 2n, 0xffffffffffffffffn];
const NAMES = ["", "a", SERVICE, "quotes", "no spaces", "ü", "x".repeat(128), "x".repeat(129), "y".repeat(700), "\0"];

/** Responses on the stream: bytes, envelopes, resources and fields, mutated, from a server that follows no protocol. */
export function fuzzXds(seed: number, inputs: number): void {
  const random = new Seeded(seed);
  const rig = new Rig(seed);
  const sets = Array.from({ length: 4 }, (_, i) => splitSet(SERVICE, 10 + i * 50));
  for (const set of sets) rig.learn(set);
  for (let i = 0; i < inputs; i++) {
    rig.deliver(input(random, rig, sets));
    if (random.chance(0.2)) rig.beat(random.pick([1, 100, 1_000]));
    if (random.chance(0.3)) rig.check();
  }
  rig.beat(100);
  rig.check();
  const { seenEpoch, seenTerm } = rig.active;
  // What it saw last may be the end of all numbers; then there is no later epoch.
  if (seenEpoch < 2n ** 53n - 2n && seenTerm < 2n ** 53n - 2n) {
    for (let i = 0; i < 80 && rig.leader === undefined; i++) rig.beat(200);
    // A version that was no UTF-8 would be echoed, and the peer could not read the request for tables.
    rig.deliver(response("WeightTable", []));
    rig.envoy.advance(1_500);
    rig.goodEpoch(Number(seenEpoch) + 1, Number(seenTerm));
    rig.check();
  }
}

function input(random: Seeded, rig: Rig, sets: readonly TableSet[]): Uint8Array {
  const { active } = rig;
  const set = random.pick(sets);
  const epoch = random.chance(0.8) ? active.seenEpoch + BigInt(random.between(-1, 2)) : random.pick(EPOCHS);
  const term = random.chance(0.9) ? active.seenTerm : random.pick(TERMS);
  const tables = random.chance(0.6) ? set.tables : mutateList(random, set);
  const digest = random.chance(0.8) ? set.digest : random.u64();
  const table = set.tables[0]!;
  const resources = {
    Stage: stage(BigInt.asUintN(64, epoch), term, digest, tables),
    WeightTable: weightTable(random.chance(0.9) ? table.digest : random.u64(), table.bytes),
    Activation: activation(BigInt.asUintN(64, epoch), term, digest, random.pick([0, 1, 1, 1, 2, 3, 4, 0x7fffffff])),
  };
  const kind = random.pick(["Stage", "WeightTable", "Activation"] as const);
  const others = Object.values(resources);
  const count = random.pick([1, 1, 1, 1, 0, 2, 5]);
  const inner = Array.from({ length: count }, () =>
    random.chance(0.4) ? mutate(random, resources[kind], others) : resources[kind],
  );
  const named = random.chance(0.95) ? kind : random.pick(["Stage", "Other", "", "Activation"]);
  const whole = response(random.chance(0.97) ? kind : "Other", inner, named);
  const what = random.below(20);
  if (what === 0) return random.bytes(random.pick([0, 1, 5, 100, 2_000]));
  if (what === 1) return new Uint8Array(random.pick([262_144, 262_145, 300_000])).fill(random.below(256));
  return what < 10 ? mutate(random, whole, others) : whole;
}

function mutateList(random: Seeded, set: TableSet): { service: string; digest: bigint }[] {
  const entry = (): { service: string; digest: bigint } => ({
    service: random.pick(NAMES),
    digest: random.chance(0.5) ? set.tables[0]!.digest : random.u64(),
  });
  return Array.from({ length: random.pick([0, 1, 2, 15, 16, 17, 200]) }, entry);
}
