import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { LEADER_LEASE } from "../checkpoint/store.ts";
import { MAX_SCORES_BYTES, MAX_SHARED_MODEL_BYTES, SharedModels } from "./shared-models.ts";

const dir = await mkdtemp(join(tmpdir(), "ballast-shared-models-"));
const store = SqliteStore.open({ path: join(dir, "store.db") });
const other = SqliteStore.open({ path: join(dir, "store.db") });
after(async () => {
  await store.close();
  await other.close();
  await rm(dir, { recursive: true, force: true });
});
const lease = await store.lease(LEADER_LEASE, { holder: "one", ttlMs: 60_000 });
assert.ok(lease.granted);
const warnings: string[] = [];
const log = { info: () => undefined, warn: (_: object, text: string) => void warnings.push(text) };
const term = lease.token;
const here = new SharedModels({ store, term, part: "demand", log });
const there = new SharedModels({ store: other, term, part: "demand", log });
const sha = (digit: string) => digit.repeat(64);
const files = (bytes: number, seed: number) => [
  { name: "forecast.onnx", bytes: Uint8Array.from({ length: bytes }, (_, i) => (i * seed) % 251) },
  { name: "manifest.json", bytes: new TextEncoder().encode("{}") },
];

test("a model of several pieces comes out of the store as it was put there by another server, and of its own part only", async () => {
  for (const [digit, bytes] of [
    ["a", 1_000_000],
    ["b", 393_216],
    ["c", 0],
  ] as const) {
    await here.put(sha(digit), files(bytes, 7));
    assert.deepEqual((await there.fetch(sha(digit))).files, files(bytes, 7));
  }
  const unknown = { files: null, why: "no server has put it into the store" };
  assert.deepEqual(await new SharedModels({ store: other, term, part: "risk", log }).fetch(sha("a")), unknown);
  assert.deepEqual(await there.fetch(sha("d")), unknown);
  assert.deepEqual(warnings, []);
});

const piece = `model/demand/${sha("a")}/forecast.onnx/1`;
for (const [what, spoil, why] of [
  ["another", (text: string) => text.replace(/^..../, "AAAB"), /^STORE_CORRUPT: forecast\.onnx in the store is not/],
  ["missing", () => "", /^STORE_CORRUPT: piece 2 of 3 of forecast\.onnx is not there/],
] as const)
  test(`a model with a piece that is ${what} is none, why is told, and who has the model puts it there again`, async () => {
    await store.keep(piece, spoil((await store.kept(piece))!.text), { term });
    const fetched = await there.fetch(sha("a"));
    assert.ok(fetched.files === null);
    assert.match(fetched.why, why);
    await here.put(sha("a"), files(1_000_000, 7));
    assert.deepEqual((await there.fetch(sha("a"))).files, files(1_000_000, 7));
    assert.deepEqual(warnings.splice(0), [
      "a model could not be fetched from the store",
      "a model in the store is damaged; it is put there again",
    ]);
  });

test("a list of models that cannot be read is told, and begun anew by who has a model", async () => {
  await store.keep("models/demand", '{"layout":1,"models":[{"sha256":"x"}]}', { term });
  const fetched = await there.fetch(sha("b"));
  assert.ok(fetched.files === null);
  assert.match(fetched.why, /^STORE_CORRUPT: the list of models in the store cannot be read/);
  for (const [digit, bytes] of [
    ["a", 1_000_000],
    ["b", 393_216],
  ] as const) {
    await here.put(sha(digit), files(bytes, 7));
    assert.deepEqual((await there.fetch(sha(digit))).files, files(bytes, 7));
  }
  assert.deepEqual(warnings.splice(0), [
    "a model could not be fetched from the store",
    "the list of models in the store is damaged; it is begun anew",
  ]);
});

test("what is needed no more leaves the store; a model that is too large never enters it, and that is known", async () => {
  await here.prune(new Set([sha("b")]));
  const [dropped, kept] = [await there.fetch(sha("a")), await there.fetch(sha("b"))];
  assert.deepEqual([dropped.files === null, kept.files !== null], [true, true]);
  assert.equal((await store.kept(`model/demand/${sha("a")}/forecast.onnx/0`))?.text, "");
  const [model, manifest] = files(1, 3);
  await here.put(sha("e"), [{ ...model!, bytes: new Uint8Array(MAX_SHARED_MODEL_BYTES) }, manifest!]);
  assert.equal((await there.fetch(sha("e"))).files, null);
  assert.equal(here.unshared(sha("e")), "its files have 69206018 bytes, at most 69206016 are shared");
  assert.equal(here.unshared(sha("b")), null);
  await here.prune(new Set([sha("b")]));
  assert.equal(here.unshared(sha("e")), null);
  assert.deepEqual(warnings.splice(0), ["a model could not be shared with other servers"]);
});

test("a model of tens of MiB is shared whole", async () => {
  const [model, manifest] = files(1, 3);
  const bytes = Uint8Array.from(randomBytes(20 << 20));
  await here.put(sha("e"), [{ ...model!, bytes }, manifest!]);
  const fetched = (await there.fetch(sha("e"))).files;
  assert.ok(fetched !== null && Buffer.from(bytes.buffer).equals(fetched[0]!.bytes));
  await here.prune(new Set([sha("b")]));
});

test("a candidate's scores are those that the last leader kept; what cannot be read, or would be too much, is told and is none", async () => {
  assert.equal(await there.scores(), null);
  const state = { version: 1, windows: Array.from({ length: 20_000 }, (_, i) => ({ atMs: i, losses: [i / 3] })) };
  await here.keepScores(state);
  assert.deepEqual(await there.scores(), state);
  for (const text of ["", "bm9uZQ==", gzipSync(Buffer.alloc(MAX_SCORES_BYTES + 1)).toString("base64")]) {
    await store.keep("model-scores/demand", text, { term });
    assert.equal(await there.scores(), null);
  }
  assert.deepEqual(warnings.splice(0), Array(3).fill("scores of a candidate in the store cannot be read"));
  await here.keepScores({ noise: randomBytes(MAX_SCORES_BYTES).toString("hex").slice(0, 2_000_000) });
  assert.deepEqual(warnings.splice(0), ["scores of a candidate could not be kept in the store"]);
});

test("a store that is slow is not waited for beyond the limit, and that is the reason", async () => {
  const slow = {
    keep: store.keep.bind(store),
    kept: async (name: string) => {
      await sleep(20);
      return store.kept(name);
    },
  };
  const { files, ...rest } = await new SharedModels({ store: slow, term, part: "demand", log, maxMs: 10 }).fetch(
    sha("b"),
  );
  assert.equal(files, null);
  assert.match((rest as { why: string }).why, /^STORE_UNREADABLE: the store took longer than 10 ms for the model/);
  assert.deepEqual(warnings.splice(0), ["a model could not be fetched from the store"]);
});

test("a server that lost its lease shares nothing, and goes on", async () => {
  const old = new SharedModels({ store, term: term - 1, part: "demand", log });
  await old.put(sha("f"), files(10, 5));
  assert.match(old.unshared(sha("f"))!, /^STORE_/);
  assert.equal((await there.fetch(sha("f"))).files, null);
  assert.deepEqual(warnings.splice(0), ["a model could not be shared with other servers"]);
});
