import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EMPTY_LEDGER } from "../change/ledger.ts";
import type { ModelChange, ModelRef } from "../checkpoint/record.ts";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { LEADER_LEASE } from "../checkpoint/store.ts";
import type { Changes } from "./changes.ts";
import { type KeptModel, ModelFiles } from "./model-files.ts";
import { type LiveModels, ModelLife } from "./model-life.ts";
import { SharedModels } from "./shared-models.ts";

const dir = await mkdtemp(join(tmpdir(), "ballast-model-files-"));
const store = SqliteStore.open({ path: join(dir, "store.db") });
after(async () => {
  await store.close();
  await rm(dir, { recursive: true, force: true });
});
const lease = await store.lease(LEADER_LEASE, { holder: "one", ttlMs: 60_000 });
assert.ok(lease.granted);
const log = { info: () => undefined, warn: () => undefined };
const shared = new SharedModels({ store, term: lease.token, part: "demand", log });

const BYTES = new TextEncoder().encode("a model");
const SHA256 = createHash("sha256").update(BYTES).digest("hex");
const MANIFEST = JSON.stringify({ model: "demand.onnx", sha256: SHA256 });
await shared.put(SHA256, [
  { name: "demand.onnx", bytes: BYTES },
  { name: "manifest.json", bytes: new TextEncoder().encode(MANIFEST) },
]);

const never = () => Promise.reject(new Error("not asked for"));
let folder: string;
let files: ModelFiles;
let own: string;
beforeEach(async () => {
  folder = await mkdtemp(join(dir, "server-"));
  files = new ModelFiles(folder, never, shared);
  own = files.folderOf(SHA256);
});
const read = async () => [
  await readFile(join(own, "demand.onnx"), "utf8"),
  await readFile(join(own, "manifest.json"), "utf8"),
];

test("a model that is not here comes from the store", async () => {
  assert.equal(await files.bring(SHA256), null);
  assert.deepEqual(await read(), ["a model", MANIFEST]);
});

for (const [what, model, manifest] of [
  ["was cut off while it was written", "a mod", MANIFEST],
  ["has half a manifest", "a model", MANIFEST.slice(0, 20)],
  [
    "is another model, with a manifest that fits it",
    "another",
    JSON.stringify({ model: "demand.onnx", sha256: "0".repeat(64) }),
  ],
  ["lost its model file", null, MANIFEST],
] as const)
  test(`a copy that ${what} is replaced by what the store has`, async () => {
    await mkdir(own, { recursive: true });
    if (model !== null) await writeFile(join(own, "demand.onnx"), model);
    await writeFile(join(own, "manifest.json"), manifest);
    assert.equal(await files.bring(SHA256), null);
    assert.deepEqual(await read(), ["a model", MANIFEST]);
  });

test("a model that is nowhere, or cannot be written, is missing for a reason that is told, and nothing throws", async () => {
  const nowhere = await files.bring("1".repeat(64));
  assert.equal(nowhere?.code, "MODEL_MISSING");
  assert.match(nowhere.text, /^not on this server \(no copy\), nor in the store \(no server has put it/);
  const file = join(folder, "file");
  await writeFile(file, "");
  const blocked = await new ModelFiles(file, never, shared).bring(SHA256);
  assert.match(blocked!.text, /^its copy on this server: ENOTDIR/);
});

test("bytes in the store that are another model than their name says are not used", async () => {
  const name = "2".repeat(64);
  await shared.put(name, [
    { name: "demand.onnx", bytes: BYTES },
    { name: "manifest.json", bytes: new TextEncoder().encode(MANIFEST) },
  ]);
  const reason = await files.bring(name);
  assert.match(reason!.text, /^what the store has is another model: demand\.onnx has sha256 /);
});

test("a model that is whole here is used at once, whatever the store says; what the store does not have of it is an alarm", async () => {
  await files.bring(SHA256);
  const answering = Promise.withResolvers<void>();
  const away = async (): Promise<never> => {
    await answering.promise;
    throw new Error("the store is away");
  };
  const cut = new SharedModels({ store: { keep: away, kept: away }, term: lease.token, part: "demand", log });
  const here = new ModelFiles(folder, never, cut);
  const models = { champion: { sha256: SHA256, kind: "demand", folder: "/elsewhere" }, former: [], shadow: null };
  const status = { model: "ready", sha256: SHA256, kind: "demand", modelDir: own };
  const live: LiveModels = { status: () => status, activate: async () => null, shadow: never, retire: never };
  const desk = { state: { ...EMPTY_LEDGER, models }, note: never };
  const life = new ModelLife({ part: "demand", configured: "", live, files: here, desk, evidence: () => ({}), log });
  await life.restore();
  assert.deepEqual(life.alarms, []);
  answering.resolve();
  await here.shared();
  const why = "the store is away";
  assert.deepEqual(life.alarms, [
    `MODEL_UNSHARED: ${SHA256.slice(0, 12)} lies on this server alone (${why}); one that takes over does without it`,
  ]);
});

test("a promoted model that is not whole anywhere is looked for until it is; a return meanwhile names the one that answers", async () => {
  const piece = `model/demand/${SHA256}/demand.onnx/0`;
  const { text } = (await store.kept(piece))!;
  await store.keep(piece, "", { term: lease.token });
  const configured = await mkdtemp(join(dir, "configured-"));
  await writeFile(join(configured, "demand.onnx"), "of ballast.yaml");
  await writeFile(join(configured, "manifest.json"), MANIFEST);
  const readModel = async (at: string): Promise<KeptModel> => {
    const bytes = await readFile(join(at, "demand.onnx"));
    return { sha256: createHash("sha256").update(bytes).digest("hex"), kind: "demand", folder: at, bytes };
  };
  const { sha256: other } = await readModel(configured);
  const champion = { sha256: SHA256, kind: "demand", folder: "/elsewhere" };
  const answers = { model: "ready", sha256: other, kind: "demand", modelDir: configured };
  const live: LiveModels = {
    status: () => answers,
    activate: async (at) => {
      answers.sha256 = (await readModel(at)).sha256;
      return null;
    },
    shadow: never,
    retire: never,
  };
  const models = { champion, former: [], shadow: null };
  const desk = { state: { ...EMPTY_LEDGER, models }, note: never };
  const own = new ModelFiles(folder, readModel, shared);
  const life = new ModelLife({
    part: "demand",
    configured,
    live,
    files: own,
    desk,
    evidence: () => ({}),
    log,
    seekMs: 5,
  });
  await life.restore();
  assert.match(
    life.alarms.join(),
    /^MODEL_MISSING: the promoted model .*STORE_CORRUPT: piece 1 of 1 of demand\.onnx is not there\)\); [0-9a-f]{12} does$/,
  );
  let left: ModelRef | null = null;
  const rollbackModel = async ({ change }: { change: ModelChange }) => {
    left = change.from;
    return { epoch: 2 } as Awaited<ReturnType<Changes["rollbackModel"]>>;
  };
  await life.rollback({ rollbackModel }, { author: "alice", reason: "CHG8" });
  assert.deepEqual(left, { sha256: other, kind: "demand", folder: configured });

  await store.keep(piece, text, { term: lease.token });
  while (life.alarms.length > 0) await sleep(5);
  assert.equal(answers.sha256, SHA256);
  await life.stop();
});
