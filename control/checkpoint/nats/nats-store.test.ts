import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { findNats } from "../../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../../scripts/lib/nats-cluster.ts";
import { auditLog } from "../audit-log.ts";
import { contentionConformance } from "../conformance/contention.ts";
import { type StoreUnderTest, storeConformance } from "../store-conformance.ts";
import { activeCheckpoint, recordSet, testRecord } from "../test-records.ts";
import { NatsStore } from "./nats-store.ts";

const skip = (await findNats()) === null && "no nats-server: npm test fetches one";

describe("the store on three NATS servers", { skip }, () => {
  let cluster: NatsCluster;
  before(async () => {
    cluster = await NatsCluster.start();
  });
  after(() => cluster.stop());

  let stores = 0;
  async function fresh(): Promise<StoreUnderTest> {
    const name = `t${++stores}`;
    const options = { servers: cluster.servers, monitors: cluster.monitors, name, timeoutMs: 20_000 };
    return {
      open: (more) => NatsStore.open({ ...options, ...more }),
      verify: async () => {
        const store = await NatsStore.open(options);
        assert.deepEqual((await auditLog(store)).faults, []);
        await store.close();
      },
    };
  }

  storeConformance("NATS, three servers", fresh);
  contentionConformance("NATS, three servers", 6 * Number(process.env.BALLAST_FAULT_ROUNDS ?? 1), fresh);

  test("NATS, three servers: the fleet of the epoch in force is remembered with the head", async () => {
    const under = await fresh();
    const store = await under.open();
    const set = recordSet(600_000);
    const commit = async (fleet: string) => {
      const { epoch: parent } = await store.head();
      const epoch = await store.reserve(parent, { holder: "a", term: 0 });
      await store.commit(parent, activeCheckpoint({ ...testRecord(epoch, parent, set), fleet }), set.tables);
    };
    await commit("demo");
    await assert.rejects(commit("other"), { code: "FLEET_MISMATCH" });
    await commit("demo");
    await under.verify();
    await store.close();
  });
});
