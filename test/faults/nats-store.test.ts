import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { connect } from "@nats-io/transport-node";
import type { BallastError } from "../../common/errors.ts";
import { NatsStore } from "../../control/checkpoint/nats/nats-store.ts";
import { findNats } from "../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { assertKept, commitNext, FAULT_ROUNDS, writerFaults } from "./store-faults.ts";
import { StoreLoad } from "./store-load.ts";

const skip = (await findNats()) === null && "no nats-server: npm test fetches one";

describe("the NATS store under faults", { skip }, () => {
  let cluster: NatsCluster;
  before(async () => {
    cluster = await NatsCluster.start();
  });
  after(() => cluster.stop());

  let stores = 0;
  /** Patience for an election: up to ten seconds on an idle machine. */
  const TIMEOUT_MS = 30_000;
  const optionsOf = (name: string) => ({
    servers: cluster.servers,
    monitors: cluster.monitors,
    name,
    timeoutMs: TIMEOUT_MS,
  });

  writerFaults("NATS", async () => {
    const options = optionsOf(`w${++stores}`);
    return { description: { nats: options }, open: () => NatsStore.open(options) };
  });

  async function underLoad(t: TestContext, what: (load: StoreLoad, name: string) => Promise<void>): Promise<void> {
    const name = `l${++stores}`;
    const load = new StoreLoad(await Promise.all(Array.from({ length: 4 }, () => NatsStore.open(optionsOf(name)))));
    try {
      await load.progress(5);
      await what(load, name);
    } finally {
      await load.stop();
    }
    const store = await NatsStore.open(optionsOf(name));
    await assertKept(store, load.committed);
    await store.close();
    t.diagnostic(`${load.committed.length} commits kept; refused: ${JSON.stringify(Object.fromEntries(load.refused))}`);
  }

  async function leaderOf(name: string): Promise<string> {
    const nc = await connect({ servers: cluster.servers });
    try {
      for (;;) {
        const answer = await nc.request(`$JS.API.STREAM.INFO.${name}`, "", { timeout: 5_000 });
        const { cluster: state } = answer.json() as { cluster?: { leader?: string } };
        if (state?.leader !== undefined && state.leader !== "") return state.leader;
      }
    } finally {
      await nc.close();
    }
  }

  async function stepDown(name: string): Promise<void> {
    const nc = await connect({ servers: cluster.servers });
    try {
      await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${name}`, "", { timeout: 5_000 });
    } finally {
      await nc.close();
    }
  }

  test("NATS: while the stream's leader steps down under load, no commit is lost and no epoch won twice", async (t) => {
    await underLoad(t, async (load, name) => {
      for (let i = 0; i < 5 * FAULT_ROUNDS; i++) {
        await stepDown(name);
        await load.progress(3);
      }
    });
  });

  test("NATS: after SIGKILL of the stream's leader under load, the others go on and nothing is lost", async (t) => {
    await underLoad(t, async (load, name) => {
      for (let i = 0; i < FAULT_ROUNDS; i++) {
        const leader = await leaderOf(name);
        await cluster.kill(leader, "SIGKILL");
        await load.progress(5);
        cluster.restart(leader);
        await cluster.ready();
        await load.progress(5);
      }
    });
  });

  test("NATS: without a majority a write is refused in time; after SIGKILL of all servers everything acknowledged is there", async (t) => {
    await underLoad(t, async (load, name) => {
      const [first, second, third] = cluster.names as [string, string, string];
      for (let i = 0; i < FAULT_ROUNDS; i++) {
        const store = await NatsStore.open({ ...optionsOf(name), timeoutMs: 2_000 });
        await cluster.kill(first);
        await cluster.kill(second);
        // Not: nothing was written. The last server may have taken it into its log, and the others may yet learn of it.
        await assert.rejects(store.append({ kind: "note", epoch: null, topic: "cut off", detail: null }, { term: 0 }), {
          code: "STORE_UNREADABLE",
        });
        await store.close();
        await cluster.kill(third);
        for (const each of cluster.names) cluster.restart(each);
        await cluster.ready();
        await load.progress(5);
      }
    });
  });

  test("NATS: a full stream refuses a write as a whole, also where the entry alone would fit, and can be read", async () => {
    const store = await NatsStore.open({ ...optionsOf(`f${++stores}`), maxBytes: 256 * 1024 });
    const note = (bytes: number) =>
      store.append({ kind: "note", epoch: null, topic: "fill", detail: "x".repeat(bytes) }, { term: 0 });
    await commitNext(store, 0);
    let written = (await store.head()).tip.seq;
    let refused = 0;
    // Smaller and smaller, up to the last byte: at some size an entry fits and its head does not.
    for (let bytes = 65_536; bytes >= 1; bytes = Math.floor(bytes * 0.8)) {
      try {
        for (;;) {
          await note(bytes);
          written += 1;
        }
      } catch (error) {
        assert.equal((error as BallastError).code, "STORE_UNREADABLE");
        assert.match((error as BallastError).message, /maximum bytes exceeded/);
        refused += 1;
      }
    }
    assert.ok(refused > 20);
    assert.equal((await store.head()).tip.seq, written);
    await assert.rejects(commitNext(store, 0), { code: "STORE_UNREADABLE" });
    await assertKept(store, [1]);
    await store.close();
  });
});
