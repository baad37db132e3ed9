import { after, before } from "node:test";
import { NatsCluster } from "../../../scripts/lib/nats-cluster.ts";
import { storeConformance } from "../store-conformance.ts";
import { NatsStore } from "./nats-store.ts";

let cluster: NatsCluster;
before(async () => {
  cluster = await NatsCluster.start();
});
after(() => cluster.stop());

let stores = 0;
storeConformance("NATS, three servers", async () => {
  const name = `t${++stores}`;
  return {
    open: (options) =>
      NatsStore.open({ servers: cluster.servers, monitors: cluster.monitors, name, timeoutMs: 20_000, ...options }),
    verify: async () => {},
  };
});
