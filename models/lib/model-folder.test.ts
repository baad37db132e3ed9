import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sealed } from "../../control/forecast/manifest-seal.ts";
import { ModelFolder } from "./model-folder.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-model-folder-"));
after(() => rm(scratch, { recursive: true, force: true }));
let folders = 0;

async function folder(files: Record<string, string> = {}): Promise<string> {
  const path = join(scratch, String(folders++));
  await mkdir(path);
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
}

function series(text: string): Record<string, string> {
  const sha256 = createHash("sha256").update(text).digest("hex");
  const manifest = JSON.stringify({ kind: "series", model: "forecast.onnx", sha256 });
  return { "forecast.onnx": text, "manifest.json": sealed(manifest) };
}

async function held(path: string): Promise<Record<string, string>> {
  const names = (await readdir(path)).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(path, name), "utf8")])),
  );
}

test("a folder whose manifest is somebody else's, or of another kind of model, is refused and left as it is", async () => {
  const demand = JSON.stringify({ format: 1, model: "demand.onnx", sha256: "0".repeat(64) });
  for (const [manifest, what] of [
    ['{"name":"a web page","icons":[]}', /TRAIN_FOLDER_UNFIT: .*its manifest\.json is of no model/],
    ["not JSON", /is of no model/],
    [demand, /is that of a demand model/],
  ] as const) {
    const path = await folder({ "manifest.json": manifest });
    await assert.rejects(ModelFolder.open(path, "series"), what);
    assert.deepEqual(await held(path), { "manifest.json": manifest });
  }
  assert.equal((await ModelFolder.open(await folder({ "manifest.json": demand }), "demand")).lying.model, "damaged");
});

test("a path that cannot be a folder is refused before anything is trained", async () => {
  const path = await folder({ taken: "" });
  await assert.rejects(ModelFolder.open(join(path, "taken"), "series"), /TRAIN_FOLDER_UNFIT: .*taken: E/);
  await assert.rejects(ModelFolder.open(join(path, "taken/below"), "series"), /TRAIN_FOLDER_UNFIT/);
});

test("a model replaces the one that lay there, beside what else does", async () => {
  const path = await folder({ ...series("old"), "notes.txt": "mine" });
  const opened = await ModelFolder.open(path, "series");
  assert.deepEqual(opened.lying, { model: "whole" });
  await opened.place(await folder(series("new")));
  assert.deepEqual(await held(path), { ...series("new"), "notes.txt": "mine" });
});

test("a model that lies there damaged is told apart from one that is whole", async () => {
  const cut = await ModelFolder.open(await folder({ ...series("old"), "forecast.onnx": "ol" }), "series");
  assert.ok(cut.lying.model === "damaged" && /forecast\.onnx has sha256/.test(cut.lying.why));
  const { "manifest.json": manifest } = series("old");
  const gone = await ModelFolder.open(await folder({ "manifest.json": manifest! }), "series");
  assert.ok(gone.lying.model === "damaged" && /cannot be read/.test(gone.lying.why));
});

test("a model that somebody else put there meanwhile is not replaced by one that was not held against it", async () => {
  for (const before of [{}, series("old")]) {
    const path = await folder(before);
    const opened = await ModelFolder.open(path, "series");
    const other = series("of another training");
    for (const [name, text] of Object.entries(other)) await writeFile(join(path, name), text);
    await assert.rejects(
      opened.place(await folder(series("new"))),
      /TRAIN_FOLDER_UNFIT: .*another model was put there meanwhile/,
    );
    assert.deepEqual(await held(path), other);
  }
});

test("what cannot be copied whole leaves the model that lay there", async () => {
  const path = await folder(series("old"));
  const opened = await ModelFolder.open(path, "series");
  const from = await folder(series("new"));
  // Stands for a full disk: of the third file nothing can be read.
  await mkdir(join(from, "golden.json"));
  await assert.rejects(opened.place(from), /TRAIN_FOLDER_UNFIT: .*the trained model lies in/);
  assert.deepEqual(await held(path), series("old"));
});
