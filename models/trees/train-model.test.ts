import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FEATURE_STEP_MS } from "../../control/features/schema.ts";
import { syntheticLoad } from "../../control/features/synthetic-load.ts";
import { manifestSchema } from "../../control/forecast/demand-manifest.ts";
import { LoadHistory } from "../../control/ingest/load-history.ts";
import { runLines } from "./environment.ts";
import { modelCard } from "./model-card.ts";
import { trainModel } from "./train-model.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-train-"));
after(() => rm(scratch, { recursive: true, force: true }));

function historyOf(days: number, stepMs = FEATURE_STEP_MS): LoadHistory {
  const history = new LoadHistory({ stepMs });
  const { startMs, values } = syntheticLoad({ seed: 1, days });
  values.forEach((value, i) => {
    history.append("s", startMs + i * stepMs, value);
  });
  return history;
}

function train(history: LoadHistory, python = "python3"): ReturnType<typeof trainModel> {
  return trainModel({
    history,
    outDir: join(scratch, "out"),
    workDir: join(scratch, "work"),
    python,
    seed: 1,
    progress: () => undefined,
  });
}

test("fewer than four weeks, no service or another step are refused before anything is written", async () => {
  await assert.rejects(train(historyOf(27)), /TRAIN_HISTORY_TOO_SHORT: 20 days remain/);
  await assert.rejects(train(new LoadHistory({ stepMs: FEATURE_STEP_MS })), /TRAIN_HISTORY_TOO_SHORT.*no service/);
  await assert.rejects(train(historyOf(3, 60_000)), /TRAIN_HISTORY_TOO_SHORT.*5 min, the history has 1 min/);
  await assert.rejects(readFile(join(scratch, "out/manifest.json")), /ENOENT/);
});

test("a trainer that fails ends the training with its last lines and leaves no manifest", async () => {
  await assert.rejects(train(historyOf(28), "/bin/false"), /TRAIN_FAILED: \/bin\/false .* ended with status 1/);
  await assert.rejects(readFile(join(scratch, "out/manifest.json")), /ENOENT/);
});

test("a command's lines come as they are written, and its errors come with the last of them", async () => {
  const seen: string[] = [];
  const lines = await runLines("sh", ["-c", "echo one; echo two"], (line) => seen.push(line));
  assert.deepEqual(lines, ["one", "two"]);
  assert.deepEqual(seen, ["one", "two"]);
  await assert.rejects(runLines("sh", ["-c", "echo why >&2; exit 3"]), /status 3\nwhy/);
  await assert.rejects(runLines("/nonexistent/python", []), /ENOENT/);
});

test("the committed manifest and card describe the same model, which is under one megabyte", async () => {
  const folder = new URL("../committed/demand/", import.meta.url);
  const manifest = manifestSchema.parse(JSON.parse(await readFile(new URL("manifest.json", folder), "utf8")));
  assert.ok((await readFile(new URL(manifest.model, folder))).length < 1_000_000);
  assert.ok(manifest.training.parity_rows >= 10_000, "rows on which the file was held against the booster");
  assert.ok(manifest.training.parity_max_abs_diff < 1e-5);
  const card = await readFile(new URL("MODEL_CARD.md", folder), "utf8");
  const [head] = modelCard(manifest, {}).split("| feature |");
  assert.ok(card.startsWith(head!), "the card was written from another manifest");
});
