import { Seeded } from "../race/seeded.ts";
import { mutate } from "./mutate.ts";
import { Rig, SERVICE } from "./rig.ts";

/** What another layout, a VM gone mad or half a write may leave in shared data. */
export function fuzzSharedData(seed: number, inputs: number): void {
  const random = new Seeded(seed);
  const rig = new Rig(seed);
  const { shared } = rig.envoy;
  const prefix = shared.keys("ballast", "/h")[0]!.split("/").slice(0, 2).join("/");
  for (let i = 0; i < inputs; i++) {
    const keys = shared.keys("ballast", prefix);
    const key = random.chance(0.97)
      ? random.pick(keys)
      : `${prefix}/${random.pick(["m", "t", "s"])}${random.pick(["200", "0003", "500"])}`;
    const values = keys.slice(0, 20).map((name) => shared.get("ballast", name)!.value);
    const before = shared.get("ballast", key)?.value ?? new Uint8Array();
    shared.set("ballast", key, mutate(random, before, values), 0);
    if (random.chance(0.6)) rig.beat(random.pick([1, 100, 1_200]));
    if (random.chance(0.02)) rig.replaceWorker(random.pick(rig.envoy.workers));
    if (random.chance(0.3)) checkAnswers(rig);
    rig.forget();
  }
  checkAnswers(rig);
}

/** A worker answers with a target of some sound set or not at all. */
function checkAnswers(rig: Rig): void {
  rig.checkVms();
  const known = new Set(
    [...rig.sound.values()].flatMap((tables) => tables.get(SERVICE)?.targets.map(({ name }) => name) ?? []),
  );
  for (const worker of rig.envoy.workers) {
    const { steer } = rig.envoy.request(worker, { route: SERVICE });
    if (steer !== undefined && !known.has(steer)) throw new Error(`${worker.name} wrote ${steer}`);
  }
}
