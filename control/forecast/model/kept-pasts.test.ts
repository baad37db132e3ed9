import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { SeededRandom } from "../../features/seeded-random.ts";
import { LoadHistory } from "../../ingest/load-history.ts";
import { sealed } from "../manifest-seal.ts";
import { BatchGatherer } from "./batch-gatherer.ts";
import type { Batch } from "./model-kind.ts";
import { SeriesKind } from "./series-kind.ts";
import { readServedModel } from "./served-model.ts";

const COMMITTED = fileURLToPath(new URL("../../../models/committed/robot-shop", import.meta.url));
const STEP_MS = 60_000;
const scratch = await mkdtemp(join(tmpdir(), "ballast-kept-"));
after(() => rm(scratch, { recursive: true, force: true }));

/** The committed model, told of a shape that is quick to compute: here its inputs are looked at, not what it says. */
await cp(COMMITTED, scratch, { recursive: true });
const manifest = JSON.parse(await readFile(join(scratch, "manifest.json"), "utf8"));
await writeFile(join(scratch, "manifest.json"), sealed(JSON.stringify({ ...manifest, step_ms: STEP_MS })));
const served = await readServedModel(scratch);
const shape = { season: 24, horizon: 6 };
const worker = { ...served.worker, ...shape, levels: [0.5] } as typeof served.worker & { kind: "series" };
const HISTORY_STEPS = 400;
const model = { ...served, horizonSteps: shape.horizon, historySteps: HISTORY_STEPS, minHistorySteps: 50, worker };

/** What the worker makes of a batch, by service. */
function inputsOf(kind: SeriesKind, services: readonly string[], batch: Batch): Map<string, number[] | number> {
  const { tensors, states } = kind.feed(batch);
  const inputs = new Map<string, number[] | number>();
  let at = 0;
  for (const [i, service] of services.entries()) {
    if (states[i] !== 0) inputs.set(service, states[i]!);
    else {
      const rows = Object.values(tensors).map(({ data, dims }) => {
        const size = data.length / dims[0]!;
        return [...data.subarray(at * size, (at + 1) * size)];
      });
      inputs.set(service, rows.flat());
      at++;
    }
  }
  return inputs;
}

class Fleet {
  readonly history = new LoadHistory({ stepMs: STEP_MS });
  readonly gatherer: BatchGatherer;
  readonly kind = new SeriesKind(worker);
  /** Where the kept past of a service begins: a fresh worker told the same must say the same. */
  readonly startMs = new Map<string, number>();
  readonly worker = {};
  told = 0;

  constructor(keptBytes: number) {
    this.gatherer = new BatchGatherer(model, keptBytes);
  }

  ask(services: readonly string[], nowMs: number): Map<string, number[] | number> {
    const all = new Map<string, number[] | number>();
    for (const queue of this.gatherer.share(this.history, services, [this.worker]).values())
      while (queue.length > 0) {
        const { services: some, batch } = this.gatherer.take(queue, this.history, nowMs, this.worker);
        for (const [i, service] of some.entries()) {
          this.told += batch.kept!.lengths[i]!;
          if (batch.kept!.whole[i] === 1) this.startMs.set(service, batch.kept!.fromSteps[i]! * STEP_MS);
        }
        for (const [service, inputs] of inputsOf(this.kind, some, batch)) all.set(service, inputs);
      }
    return all;
  }

  /** By a worker that keeps nothing and is told all of it at once. */
  askAfresh(service: string, nowMs: number): number[] | number {
    const steps = (nowMs - this.startMs.get(service)!) / STEP_MS;
    const tails = this.history.tail(service, nowMs, steps);
    const batch = { originMs: nowMs, count: 1, steps, tails };
    return inputsOf(new SeriesKind(worker), [service], batch).get(service)!;
  }
}

function load(random: SeededRandom, service: number, step: number): number {
  return (service + 1) * (100 + 40 * Math.sin((2 * Math.PI * step) / 24) + 5 * random.normal());
}

test("a past that is continued step by step gives the inputs of one that is told whole, bit for bit", () => {
  const fleet = new Fleet(1 << 30);
  const random = new SeededRandom(5);
  const names = ["s0", "s1", "s2"];
  for (let step = 0; step < 380; step++)
    for (const [s, name] of names.entries())
      if (step >= 20 * s) fleet.history.append(name, step * STEP_MS, load(random, s, step));
  let whole = 0;
  for (let step = 380; step < 900; step++) {
    const before = fleet.told;
    const inputs = fleet.ask(names, step * STEP_MS);
    if (fleet.told - before > names.length) whole++;
    for (const name of step % 7 === 0 ? names : [])
      assert.deepEqual(inputs.get(name), fleet.askAfresh(name, step * STEP_MS));
    for (const [s, name] of names.entries()) fleet.history.append(name, step * STEP_MS, load(random, s, step));
  }
  assert.ok(whole > 1 && whole <= 9, `told whole in ${whole} of 520 steps: at first, and when its room is used up`);
});

test("whatever comes late, is missing, is corrected or falls silent, the inputs are those of a past told whole", () => {
  const change = fc.record({
    service: fc.integer({ min: 0, max: 2 }),
    kind: fc.constantFrom("on time", "late", "missing", "newest corrected", "old corrected", "NaN", "skipped asking"),
    back: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 10, maxLength: 40 }),
      fc.integer({ min: 1, max: 9_999 }),
      (changes, seed) => {
        const fleet = new Fleet(1 << 30);
        const random = new SeededRandom(seed);
        const names = ["s0", "s1", "s2"];
        const put = (s: number, step: number, value = load(random, s, step)) =>
          fleet.history.append(names[s]!, step * STEP_MS, value);
        for (let step = 0; step < 200; step++) for (const s of [0, 1, 2]) put(s, step);
        for (const [i, { service, kind, back }] of changes.entries()) {
          const step = 200 + i;
          for (const s of [0, 1, 2]) if (s !== service || !["late", "missing", "NaN"].includes(kind)) put(s, step);
          if (kind === "NaN") put(service, step, Number.NaN);
          if (kind === "newest corrected") put(service, step, 7);
          if (kind === "old corrected") put(service, step - back, 9);
          const nowMs = (step + 1) * STEP_MS;
          if (kind !== "skipped asking") {
            const inputs = fleet.ask(names, nowMs);
            for (const name of names)
              assert.deepEqual(inputs.get(name), fleet.askAfresh(name, nowMs), `${name} ${kind} at ${i}`);
          }
          if (kind === "late") put(service, step);
        }
      },
    ),
    { numRuns: 25 },
  );
});

test("another history, a clock that goes back, and no memory to keep anything are told whole", () => {
  const random = new SeededRandom(6);
  for (const keptBytes of [0, 1 << 30]) {
    const fleet = new Fleet(keptBytes);
    for (let step = 0; step < 300; step++) fleet.history.append("s0", step * STEP_MS, load(random, 0, step));
    for (const step of [300, 300, 290, 299]) {
      const before = fleet.told;
      const inputs = fleet.ask(["s0", "nobody"], step * STEP_MS);
      assert.deepEqual(inputs.get("s0"), fleet.askAfresh("s0", step * STEP_MS));
      assert.equal(inputs.get("nobody"), 1, "too short");
      assert.ok(keptBytes > 0 || fleet.told - before >= 290);
    }
  }
});
