import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { buildWorld } from "../../control/features/groups/build-world.ts";
import { SeededRandom } from "../../control/features/seeded-random.ts";
import { SERIES_FEATURES } from "../../control/features/series/shape.ts";
import { DEFAULT_EXAMPLES, SPLITS } from "../../control/features/series/training-examples.ts";
import { LoadHistory } from "../../control/ingest/load-history.ts";
import { unframe } from "../records/tfrecord.ts";
import { demandSeries } from "./demand-series.ts";
import { runProgress } from "./run-progress.ts";
import { TINY_EFFORT, writeTrainingFiles } from "./training-spec.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-spec-"));
after(() => rm(scratch, { recursive: true, force: true }));

const random = new SeededRandom(7);
const values = Float64Array.from(
  { length: 700 },
  (_, t) => 60 + 9 * Math.sin((2 * Math.PI * t) / 24) + random.normal(),
);
const input = {
  shape: { season: 24, horizon: 12 },
  levels: [0.1, 0.5, 0.9],
  series: [{ name: "s", values, slices: (step: number) => ({ half: step % 2 === 0 ? "even" : "odd" }) }],
  options: { ...DEFAULT_EXAMPLES, copies: 1, originsPerCopy: 30, originsPerHeldOut: 20 },
  effort: TINY_EFFORT,
};
const records = async (path: string): Promise<number> => [...unframe(await readFile(path))].length;

describe("training files", () => {
  test("hold every example as a record and as plain rows, and a witness for every eighth held-out one", async () => {
    const dir = join(scratch, "a");
    const spec = await writeTrainingFiles(dir, input);
    assert.deepEqual({ ...spec.examples }, { train: 30, eval: 20, gate: 20 });
    for (const split of SPLITS) {
      assert.equal(await records(join(dir, "examples", split, "data.tfrecord")), spec.examples[split]);
      const { size } = await stat(join(dir, "rows", `${split}.bin`));
      assert.equal(size, 4 * 8 * (SERIES_FEATURES.length + 2) * spec.examples[split]!);
    }
    assert.ok(spec.witnesses.length >= 4);
    assert.equal(await records(join(dir, "witness/data.tfrecord")), spec.witnesses.length);
    assert.deepEqual(spec.slices, ["series", "half"]);
    assert.deepEqual(JSON.parse(await readFile(join(dir, "spec.json"), "utf8")), spec);
    assert.equal(spec.monotone.length, SERIES_FEATURES.length);
    const { rows, features } = spec.feature_statistics;
    assert.equal(rows, 8 * (20 + 20), "of the held-out spans, which are unchanged series");
    assert.deepEqual(
      features.map(({ name }) => name),
      SERIES_FEATURES.filter((name) => name !== "step"),
    );
  });

  test("stay as they are for the same input, and are made anew for another", async () => {
    const dir = join(scratch, "b");
    const first = await writeTrainingFiles(dir, input);
    const rows = join(dir, "rows/train.bin");
    await writeFile(rows, "kept");
    assert.deepEqual(await writeTrainingFiles(dir, input), first);
    assert.equal(await readFile(rows, "utf8"), "kept");
    const other = await writeTrainingFiles(dir, { ...input, options: { ...input.options, seed: 2 } });
    assert.notEqual(other.key, first.key);
    assert.ok((await stat(rows)).size > 1_000);
  });

  test("are the same bytes for the same input", async () => {
    const [one, two] = [join(scratch, "c"), join(scratch, "d")];
    await writeTrainingFiles(one, input);
    await writeTrainingFiles(two, input);
    for (const file of ["examples/train/data.tfrecord", "witness/data.tfrecord", "spec.json"])
      assert.deepEqual(await readFile(join(one, file)), await readFile(join(two, file)), file);
  });

  test("a series that is too short is left out, and none left is refused", async () => {
    const dir = join(scratch, "e");
    const short = { name: "short", values: values.subarray(0, 60) };
    const spec = await writeTrainingFiles(dir, { ...input, series: [short, ...input.series] });
    assert.deepEqual(
      spec.series.map(({ name }) => name),
      ["s"],
    );
    await assert.rejects(writeTrainingFiles(dir, { ...input, series: [short] }), /TRAIN_HISTORY_TOO_SHORT/);
  });
});

test("demand series are sliced by weekday, and by change and tier where they are known", () => {
  const history = new LoadHistory({ stepMs: 3_600_000 });
  const startMs = Date.UTC(2026, 0, 5); // a Monday
  for (let t = 0; t < 48; t++) history.append("api", startMs + t * 3_600_000, t);
  const world = buildWorld({ history });
  const [plain] = demandSeries(world);
  assert.deepEqual(plain!.slices!(0), { weekday: "mon" });
  assert.deepEqual(plain!.slices!(30), { weekday: "tue" });
  assert.equal(plain!.values[47], 47);
  const times = { startMs: startMs + 7_200_000, endMs: startMs + 10_800_000 };
  const window = { ...times, kind: "change", share: 1, knownAtMs: 0, endKnownAtMs: 0 } as const;
  const [sliced] = demandSeries({ ...world, windows: new Map([["api", [window]]]) }, new Map([["api", 1]]));
  assert.deepEqual(
    [1, 2, 3].map((step) => sliced!.slices!(step).change),
    ["no", "yes", "no"],
  );
  assert.equal(sliced!.slices!(0).tier, "1");
  assert.equal(demandSeries(world, new Map())[0]!.slices!(0).tier, "unknown");
});

test("a command's progress is passed on, and its exit code and last errors come back", async () => {
  const lines: string[] = [];
  const script = "echo progress half; echo other; echo why >&2; exit 3";
  const options = { env: {}, binds: [], progress: (text: string) => void lines.push(text) };
  assert.deepEqual(await runProgress("sh", ["-c", script], options), { code: 3, errors: ["why"] });
  assert.deepEqual(lines, ["half"]);
  await assert.rejects(runProgress("/nonexistent/python", [], options), /ENOENT/);
});
