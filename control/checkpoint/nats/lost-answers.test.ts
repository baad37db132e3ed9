import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, headers } from "@nats-io/transport-node";
import { findNats } from "../../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../../scripts/lib/nats-cluster.ts";
import { buildTable } from "../../table/build.ts";
import { makeSet } from "../../table/set.ts";
import { auditLog } from "../audit-log.ts";
import { LEADER_LEASE } from "../store.ts";
import { activeCheckpoint, recordSet, testRecord } from "../test-records.ts";
import { LossyLine } from "./lossy-line.ts";
import { NatsStore } from "./nats-store.ts";

const skip = (await findNats()) === null && "no nats-server: npm test fetches one";

describe("the NATS store on a line that fails", { skip }, () => {
  let cluster: NatsCluster;
  let line: LossyLine;
  let server: string;
  before(async () => {
    cluster = await NatsCluster.start({ size: 1, maxPayloadBytes: 16_384 });
    line = new LossyLine(Number(new URL(cluster.servers[0]!).port));
    server = await line.open();
  });
  after(async () => {
    line.close();
    await cluster.stop();
  });

  async function open(t: TestContext, name: string): Promise<NatsStore> {
    const store = await NatsStore.open({
      servers: [server],
      monitors: cluster.monitors,
      name,
      replicas: 1,
      allowFewReplicas: true,
      timeoutMs: 15_000,
    });
    t.after(() => store.close());
    return store;
  }
  const note = (topic: string, detail: unknown = null) => ({ kind: "note", epoch: null, topic, detail }) as const;

  for (const lose of ["answer", "request"] as const) {
    test(`a write whose ${lose} was lost with the connection is in the log once`, async (t) => {
      const store = await open(t, `append-${lose}`);
      const lostBefore = line.lost;
      assert.equal((await store.append(note("1"), { term: 0 })).seq, 1);
      line.loseNext("Nats-Batch-Commit", lose);
      assert.equal((await store.append(note("2"), { term: 0 })).seq, 2);
      assert.equal((await store.append(note("3"), { term: 0 })).seq, 3);
      assert.equal(line.lost - lostBefore, 1);
      assert.deepEqual(
        (await store.history()).map(({ body }) => body.kind === "note" && body.topic),
        ["1", "2", "3"],
      );
      assert.deepEqual((await auditLog(store)).faults, []);
    });

    test(`a commit whose ${lose} was lost is made once, and its epoch is told once`, async (t) => {
      const store = await open(t, `commit-${lose}`);
      const epoch = await store.reserve(0, { holder: "a", term: 0 });
      const set = recordSet(600_000);
      // The second batch: the first stores the table.
      line.loseNext(`commit-${lose}.head`, lose);
      const head = await store.commit(0, activeCheckpoint(testRecord(epoch, 0, set)), set.tables);
      assert.equal(head.epoch, epoch);
      assert.deepEqual(await store.head(), head);
      line.loseNext("Nats-Batch-Commit", lose);
      assert.equal(await store.reserve(epoch, { holder: "a", term: 0 }), epoch + 1);
    });

    test(`a lease whose ${lose} was lost is given once, with one token`, async (t) => {
      const store = await open(t, `lease-${lose}`);
      line.loseNext("$KV.", lose);
      const first = await store.lease(LEADER_LEASE, { holder: "a", ttlMs: 60_000 });
      assert.deepEqual([first.granted, first.granted && first.token], [true, 1]);
      line.loseNext("$KV.", lose);
      const renewed = await store.lease(LEADER_LEASE, { holder: "a", ttlMs: 60_000, token: 1 });
      assert.deepEqual([renewed.granted, renewed.granted && renewed.token], [true, 1]);
      assert.equal((await store.head()).term, 1);
    });
  }

  test("entries and tables larger than a message are kept in parts and come back whole", async (t) => {
    const store = await open(t, "large");
    const detail = { text: "ü".repeat(100_000), list: Array.from({ length: 5_000 }, (_, i) => i) };
    await store.append(note("large", detail), { term: 0 });
    await store.append(note("small"), { term: 0 });
    const [entry] = await store.history({ limit: 1 });
    assert.deepEqual(entry?.body, note("large", detail));
    const epoch = await store.reserve(0, { holder: "a", term: 0 });
    const shares = { basePpm: 500_000, weightPpm: 500_000, stickyPpm: 500_000, draining: false };
    const targets = ["a", "b"].map((name) => ({ name, ...shares }));
    const set = makeSet([buildTable({ service: "s", observe: false, slots: 16_384, targets, previous: null }).encoded]);
    assert.ok(set.tables[0]!.bytes.length > 2 * 16_384);
    await store.commit(0, activeCheckpoint(testRecord(epoch, 0, set)), set.tables);
    const stored = await store.tables(set.tables.map(({ digest }) => digest));
    assert.deepEqual([...stored.values()], [...set.tables]);
    assert.deepEqual((await auditLog(store)).faults, []);
  });

  for (const lose of ["answer", "request"] as const)
    test(`a keepsake larger than a message is kept in parts, also when the ${lose} is lost, and takes no more room than it has`, async (t) => {
      const name = `kept-${lose}`;
      const store = await open(t, name);
      for (const [i, length] of [100_000, 60_000, 3].entries()) {
        const text = `${i}`.repeat(length);
        if (i > 0) line.loseNext("PUB $KV.", lose);
        await store.keep("model/x", text, { term: 0 });
        assert.ok((await store.kept("model/x"))?.text === text);
      }
      const nc = await connect({ servers: cluster.servers });
      t.after(() => nc.close());
      const { state } = await (await jetstreamManager(nc)).streams.info(`KV_${name}_lease`);
      // Empty parts and one short value: 100,000 bytes were there.
      assert.ok(state.bytes < 10_000, `${state.bytes} bytes`);
    });

  test("of two that keep at once each reading is whole, and a part that is gone is told", async (t) => {
    const [one, two] = [await open(t, "kept-race"), await open(t, "kept-race")];
    const text = (i: number) => `${i}`.repeat(40_000);
    await one.keep("x", text(0), { term: 0 });
    const reads: Promise<unknown>[] = [];
    for (let i = 1; i < 9; i++) {
      const both = [one.keep("x", text(i), { term: 0 }), two.keep("x", text(9 - i), { term: 0 })];
      for (const store of [one, two])
        reads.push(store.kept("x").then((kept) => assert.match(kept!.text, /^(.)\1{39999}$/)));
      await Promise.all([...both, ...reads.splice(0)]);
    }
    const nc = await connect({ servers: cluster.servers });
    t.after(() => nc.close());
    const bucket = await new Kvm(nc).open("kept-race_lease");
    for await (const key of await bucket.keys()) if (key.endsWith("_1")) await bucket.delete(key);
    await assert.rejects(two.kept("x"), { code: "STORE_CORRUPT" });
    await one.keep("x", text(3), { term: 0 });
    assert.equal((await two.kept("x"))?.text, text(3));
  });

  test("what others put into the stream is not part of the log, and in the place of an entry it is found", async (t) => {
    const store = await open(t, "flipped");
    for (let i = 0; i < 3; i++) await store.append(note(`${i}`), { term: 0 });
    // Somebody who may publish puts another text under the number of an entry; the batch and the head are not touched.
    const nc = await connect({ servers: cluster.servers });
    const forged = headers();
    forged.set("Ballast-Hash", "0".repeat(64));
    forged.set("Ballast-Chunks", "1");
    await nc.request("flipped.log.4.-.note.-.0", "{}", { headers: forged, timeout: 5_000 });
    await nc.close();
    const again = await open(t, "flipped");
    // What no head names is not part of the log …
    assert.equal((await again.history()).length, 3);
    assert.deepEqual((await auditLog(again)).faults, []);
    // … and once an entry takes the number, there are two.
    await again.append(note("3"), { term: 0 });
    const { faults } = await auditLog(again);
    assert.equal(faults[0]?.seq, 4);
    await assert.rejects(again.history(), { code: "STORE_CORRUPT" });
  });
});
