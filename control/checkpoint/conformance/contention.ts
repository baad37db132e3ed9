import assert from "node:assert/strict";
import { test } from "node:test";
import { BallastError } from "../../../common/errors.ts";
import { auditLog } from "../audit-log.ts";
import type { Entry } from "../chain.ts";
import { type CheckpointStore, LEADER_LEASE } from "../store.ts";
import type { StoreUnderTest } from "../store-conformance.ts";
import { activeCheckpoint, recordSet, testRecord } from "../test-records.ts";

const WRITERS = 10;

/**
 * What every adapter must do when ten writers want the same at once; each has a connection or file handle of its own.
 * `rounds` scales the work; `fresh` gives an empty store.
 */
export function contentionConformance(name: string, rounds: number, fresh: () => Promise<StoreUnderTest>): void {
  const on = (what: string, body: (stores: CheckpointStore[]) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const under = await fresh();
      const stores = await Promise.all(Array.from({ length: WRITERS }, () => under.open()));
      try {
        await body(stores);
        assert.deepEqual((await auditLog(stores[0]!)).faults, []);
        await under.verify();
      } finally {
        await Promise.all(stores.map((store) => store.close()));
      }
    });

  on("of ten writers on the same head exactly one wins each round", async (stores) => {
    const [first] = stores as [CheckpointStore];
    const given: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const { epoch: parent } = await first.head();
      const set = recordSet(100_000 + (round % 8) * 100_000);
      const answers = await Promise.allSettled(
        stores.map(async (store, i) => {
          const epoch = await store.reserve(parent, { holder: `server-${i}`, term: 0 });
          given.push(epoch);
          await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set)), set.tables);
          return epoch;
        }),
      );
      const won = answers.filter((answer) => answer.status === "fulfilled");
      assert.equal(won.length, 1, `round ${round}`);
      for (const answer of answers) {
        if (answer.status === "rejected") assert.equal((answer.reason as BallastError).code, "STORE_CONFLICT");
      }
      assert.equal((await first.head()).epoch, won[0]!.value);
    }
    assert.equal(new Set(given).size, given.length, "an epoch was given out twice");
    assert.equal((await first.history({ kind: "checkpoint", limit: 1000 })).length, rounds);
  });

  on("what ten writers append is there once each, in one order that every watcher sees", async (stores) => {
    const control = new AbortController();
    const total = WRITERS * rounds;
    const watchers = stores.slice(0, 2).map(async (store) => {
      const seen: Entry[] = [];
      for await (const entry of store.watch(1, { signal: control.signal })) {
        seen.push(entry);
        if (seen.length === total) break;
      }
      return seen;
    });
    await Promise.all(
      stores.map(async (store, i) => {
        for (let round = 0; round < rounds; round++) {
          await store.append({ kind: "note", epoch: null, topic: `${i}/${round}`, detail: null }, { term: 0 });
        }
      }),
    );
    const [a, b] = (await Promise.all(watchers)) as [Entry[], Entry[]];
    control.abort();
    assert.deepEqual(
      a.map(({ seq }) => seq),
      Array.from({ length: total }, (_, i) => i + 1),
    );
    assert.deepEqual(a, b);
    const topics = a.map(({ body }) => (body.kind === "note" ? body.topic : body.kind));
    assert.equal(new Set(topics).size, total);
  });

  on("of ten that want a free lease one gets it, and its token is higher than all before", async (stores) => {
    let last = 0;
    for (let round = 0; round < rounds; round++) {
      const answers = await Promise.all(
        stores.map((store, i) => store.lease(LEADER_LEASE, { holder: `r${round}-server-${i}`, ttlMs: 60_000 })),
      );
      const granted = answers.filter((answer) => answer.granted);
      assert.equal(granted.length, 1);
      const { token } = granted[0]!;
      assert.ok(token > last, `token ${token} after ${last}`);
      last = token;
      assert.equal((await stores[0]!.head()).term, token);
      // Free again at once: the holder gives it up by letting it run out.
      const winner = answers.indexOf(granted[0]!);
      await stores[winner]!.lease(LEADER_LEASE, { holder: `r${round}-server-${winner}`, ttlMs: 0, token });
    }
  });

  on("while the lease goes from hand to hand, no write of an old term follows one of a new", async (stores) => {
    let ended = false;
    let fenced = 0;
    const writers = stores.slice(1).map(async (store, i) => {
      let token = 0;
      while (!ended) {
        const answer = await store.lease(LEADER_LEASE, { holder: `server-${i}`, ttlMs: 5 });
        if (answer.granted) token = answer.token;
        // Writes on, also when the lease has run out meanwhile: what refuses it must be the store.
        for (let n = 0; n < 5 && token > 0; n++) {
          try {
            await store.append({ kind: "note", epoch: null, topic: `term ${token}`, detail: n }, { term: token });
          } catch (error) {
            if (!(error instanceof BallastError && error.code === "STORE_FENCED")) throw error;
            fenced += 1;
            break;
          }
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    for (let i = 0; i < 1000 && fenced < rounds; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    ended = true;
    await Promise.all(writers);
    assert.ok(fenced >= rounds, `${fenced} writes of old terms were tried`);
    // The audit in `on` holds that terms never fall.
  });
}
