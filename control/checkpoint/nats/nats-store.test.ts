import assert from "node:assert/strict";
import { after, before } from "node:test";
import { NatsCluster } from "../../../scripts/lib/nats-cluster.ts";
import { auditLog } from "../audit-log.ts";
import { contentionConformance } from "../conformance/contention.ts";
import { type StoreUnderTest, storeConformance } from "../store-conformance.ts";
import { NatsStore } from "./nats-store.ts";

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
contentionConformance("NATS, three servers", Number(process.env.BALLAST_FAULT_ROUNDS ?? 10), fresh);
