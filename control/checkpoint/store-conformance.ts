import assert from "node:assert/strict";
import { test } from "node:test";
import { lastMove, move } from "./moves.ts";
import {
  type CheckpointStore,
  committedCheckpoint,
  loadSet,
  MAX_KEEPSAKE_BYTES,
  presentCheckpoint,
  recentReleases,
} from "./store.ts";
import { activeCheckpoint, approvedCheckpoint, recordSet, testRecord } from "./test-records.ts";

/** A store that stands for itself and can be opened again, or a second time, as another process would. */
export interface StoreUnderTest {
  open(options?: { wallMs?: () => number }): Promise<CheckpointStore>;
  /** Throws unless the whole log verifies. */
  verify(): Promise<void>;
}

const me = { holder: "server-1", term: 0 };

/** What every adapter of CheckpointStore must do; `fresh` gives an empty store. */
export function storeConformance(name: string, fresh: () => Promise<StoreUnderTest>): void {
  const on = (what: string, body: (store: CheckpointStore, under: StoreUnderTest) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const under = await fresh();
      const store = await under.open();
      try {
        await body(store, under);
        await under.verify();
      } finally {
        await store.close();
      }
    });

  /** Reserves, commits and returns the epoch. */
  async function commitNext(store: CheckpointStore, ppm: number, term = 0): Promise<number> {
    const head = await store.head();
    const epoch = await store.reserve(head.epoch, { holder: "server-1", term });
    const set = recordSet(ppm);
    await store.commit(head.epoch, activeCheckpoint(testRecord(epoch, head.epoch, set, term)), set.tables);
    return epoch;
  }

  on("an empty store has epoch 0 and an empty history", async (store) => {
    const head = await store.head();
    assert.deepEqual([head.epoch, head.seq, head.reservedEpoch, head.term, head.tip.seq], [0, 0, 0, 0, 0]);
    assert.deepEqual(await store.history(), []);
    assert.deepEqual(await recentReleases(store, 3), []);
  });

  on("a reserved epoch is never given out again, also when it was never used", async (store, under) => {
    assert.equal(await store.reserve(0, me), 1);
    assert.equal(await store.reserve(0, me), 2);
    const other = await under.open();
    assert.equal(await other.reserve(0, { holder: "server-2", term: 0 }), 3);
    await other.close();
    assert.equal(await store.reserve(0, { ...me, atLeast: 40 }), 41);
    await assert.rejects(store.reserve(7, me), { code: "STORE_CONFLICT" });
    assert.equal((await store.head()).reservedEpoch, 41);
  });

  on("a commit makes its epoch the head, with its tables, in one step", async (store, under) => {
    const epoch = await commitNext(store, 600_000);
    const other = await under.open();
    assert.equal((await other.head()).epoch, epoch);
    const set = await loadSet(other, epoch);
    assert.equal(set.digest, recordSet(600_000).digest);
    assert.equal((await committedCheckpoint(other, epoch))?.record.why, "CHG0031007 on pay-db-b");
    await assert.rejects(loadSet(other, epoch + 1), { code: "EPOCH_NOT_FOUND" });
    await other.close();
  });

  on("of two commits on the same head one wins, and the other changes nothing", async (store, under) => {
    const other = await under.open();
    const a = await store.reserve(0, me);
    const b = await other.reserve(0, { holder: "server-2", term: 0 });
    const set = recordSet(600_000);
    const answers = await Promise.allSettled([
      store.commit(0, activeCheckpoint(testRecord(a, 0, set)), set.tables),
      other.commit(0, activeCheckpoint(testRecord(b, 0, set)), set.tables),
    ]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    const lost = answers.find((answer) => answer.status === "rejected");
    assert.equal(lost?.reason.code, "STORE_CONFLICT");
    assert.equal((await store.history({ kind: "checkpoint" })).length, 1);
    await other.close();
  });

  on("a commit is refused that was not reserved, was made before, or names another parent", async (store) => {
    const set = recordSet(600_000);
    const commit = (epoch: number, parent: number, expected: number) =>
      store.commit(expected, activeCheckpoint(testRecord(epoch, parent, set)), set.tables);
    await assert.rejects(commit(1, 0, 0), { code: "STORE_CONFLICT" });
    const epoch = await store.reserve(0, me);
    await assert.rejects(commit(epoch, 5, 0), { code: "STORE_CONFLICT" });
    await commit(epoch, 0, 0);
    await assert.rejects(commit(epoch, epoch, epoch), { code: "STORE_CONFLICT" });
    assert.equal((await store.head()).epoch, epoch);
  });

  on("an epoch that was aborted cannot be committed", async (store) => {
    const set = recordSet(600_000);
    const epoch = await store.reserve(0, me);
    const approved = approvedCheckpoint(testRecord(epoch, 0, set));
    const aborted = move(approved, "abort", { reason: "edge-2 refused" }, 5);
    await store.append({ kind: "checkpoint", epoch, checkpoint: aborted }, { term: 0 });
    await assert.rejects(store.commit(0, activeCheckpoint(testRecord(epoch, 0, set)), set.tables), {
      code: "STORE_CONFLICT",
    });
    assert.equal((await presentCheckpoint(store, epoch))?.state, "aborted");
    assert.equal(await committedCheckpoint(store, epoch), null);
  });

  on("moves after the commit are kept, and one that starts elsewhere is refused", async (store) => {
    const epoch = await commitNext(store, 600_000);
    const active = activeCheckpoint(testRecord(epoch, 0, recordSet(600_000)));
    const baked = move(active, "bake", { text: "600 s without a breach" }, 9);
    await store.append({ kind: "move", epoch, move: lastMove(baked) }, { term: 0 });
    await assert.rejects(store.append({ kind: "move", epoch, move: lastMove(baked) }, { term: 0 }), {
      code: "STORE_CONFLICT",
    });
    await store.append({ kind: "note", epoch, topic: "activation", detail: { acks: 2 } }, { term: 0 });
    const present = await presentCheckpoint(store, epoch);
    assert.equal(present?.state, "baked");
    assert.equal(present?.moves.at(-1)?.move, "bake");
  });

  on("the last releases come back newest first with their sets, past epochs that were never used", async (store) => {
    await commitNext(store, 600_000);
    await store.reserve(1, me);
    await commitNext(store, 700_000);
    await commitNext(store, 600_000);
    const releases = await recentReleases(store, 2);
    assert.deepEqual(
      releases.map(({ checkpoint, set }) => [checkpoint.record.epoch, set.digest]),
      [
        [4, recordSet(600_000).digest],
        [3, recordSet(700_000).digest],
      ],
    );
  });

  on("a lease gives rising tokens, and a write with an old one changes nothing", async (store, under) => {
    let nowMs = 1_000;
    const clocked = await under.open({ wallMs: () => nowMs });
    const first = await clocked.lease("leader", { holder: "a", ttlMs: 100 });
    assert.ok(first.granted);
    const busy = await clocked.lease("leader", { holder: "b", ttlMs: 100 });
    assert.deepEqual(busy, { granted: false, holder: "a", expiresAtMs: 1_100 });
    nowMs = 1_090;
    const renewed = await clocked.lease("leader", { holder: "a", ttlMs: 100, token: first.token });
    assert.deepEqual(renewed, { granted: true, token: first.token, expiresAtMs: 1_190 });
    nowMs = 1_200;
    const second = await clocked.lease("leader", { holder: "b", ttlMs: 100 });
    assert.ok(second.granted && second.token > first.token);
    const late = await clocked.lease("leader", { holder: "a", ttlMs: 100, token: first.token });
    assert.equal(late.granted, false);

    const before = (await store.head()).tip;
    await assert.rejects(store.reserve(0, { holder: "a", term: first.token }), { code: "STORE_FENCED" });
    const note = { kind: "note", epoch: null, topic: "test", detail: null } as const;
    await assert.rejects(store.append(note, { term: first.token }), { code: "STORE_FENCED" });
    assert.deepEqual((await store.head()).tip, before);
    await commitNext(store, 600_000, second.token);
    // The same holder, started again, need not wait for its own lease to run out.
    const again = await clocked.lease("leader", { holder: "b", ttlMs: 100 });
    assert.ok(again.granted && again.token > second.token);
    await clocked.close();
  });

  on("watch gives all entries from a number on, and those of other writers as they come", async (store, under) => {
    const other = await under.open();
    await commitNext(store, 600_000);
    const control = new AbortController();
    const seen: string[] = [];
    for await (const entry of store.watch(2, { signal: control.signal })) {
      seen.push(`${entry.seq} ${entry.body.kind}`);
      if (seen.length === 1)
        await other.append({ kind: "note", epoch: null, topic: "hello", detail: null }, { term: 0 });
      if (seen.length === 2) control.abort();
    }
    assert.deepEqual(seen, ["2 checkpoint", "3 note"]);
    await other.close();
  });

  on("history is paged from both ends", async (store) => {
    for (let i = 0; i < 5; i++)
      await store.append({ kind: "note", epoch: null, topic: `${i}`, detail: i }, { term: 0 });
    const seqs = async (query: Parameters<CheckpointStore["history"]>[0]) =>
      (await store.history(query)).map((entry) => entry.seq);
    assert.deepEqual(await seqs({ limit: 2 }), [1, 2]);
    assert.deepEqual(await seqs({ fromSeq: 4 }), [4, 5]);
    assert.deepEqual(await seqs({ limit: 2, newestFirst: true }), [5, 4]);
    assert.deepEqual(await seqs({ fromSeq: 2, newestFirst: true }), [2, 1]);
  });

  on(
    "a keepsake is replaced in place, outlives its server, and is refused from a server that lost its lease",
    async (store, under) => {
      const name = "capacity/pay:cards|eu";
      assert.equal(await store.kept(name), null);
      const first = await store.lease("leader", { holder: "a", ttlMs: 60_000 });
      assert.ok(first.granted);
      await store.keep(name, "one \u2713", { term: first.token });
      const before = (await store.head()).tip;
      await store.keep(name, "two", { term: first.token });
      assert.deepEqual((await store.head()).tip, before, "it is no part of the log");
      await assert.rejects(store.keep(name, "x".repeat(MAX_KEEPSAKE_BYTES + 1), { term: first.token }), /bytes/);
      const other = await under.open();
      const second = await other.lease("leader", { holder: "a", ttlMs: 60_000 });
      assert.ok(second.granted && second.token > first.token);
      await assert.rejects(store.keep(name, "late", { term: first.token }), { code: "STORE_FENCED" });
      assert.deepEqual(await other.kept(name), { text: "two", term: first.token });
      assert.equal(await other.kept("capacity/pay"), null);
      await other.close();
    },
  );

  on(
    "a keepsake of the greatest length comes back whole, whatever is in it, and leaves room for a shorter one",
    async (store) => {
      const by = { term: 0 };
      for (const text of ['"', "\n\u0001\\", "\u2713"]) {
        const whole = text.repeat(Math.floor(MAX_KEEPSAKE_BYTES / Buffer.byteLength(text)));
        for (const kept of [whole, `x${whole.slice(1)}`, "short", ""]) {
          await store.keep("model/x", kept, by);
          assert.ok((await store.kept("model/x"))?.text === kept, "another text");
        }
      }
    },
  );

  on("what was written is there after the store was opened again", async (store, under) => {
    const epoch = await commitNext(store, 600_000);
    const head = await store.head();
    await store.close();
    const again = await under.open();
    assert.deepEqual(await again.head(), head);
    assert.equal((await loadSet(again, epoch)).digest, recordSet(600_000).digest);
    await again.close();
  });
}
