import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { findNats } from "../../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../../scripts/lib/nats-cluster.ts";
import { NatsStore } from "./nats-store.ts";
import { atLeast } from "./server-guard.ts";

const skip = (await findNats()) === null && "no nats-server: npm test fetches one";

describe("which NATS servers and streams are refused", { skip }, () => {
  let unsynced: NatsCluster;
  let synced: NatsCluster;
  before(async () => {
    [unsynced, synced] = await Promise.all([
      NatsCluster.start({ size: 1, syncAlways: false }),
      NatsCluster.start({ size: 1 }),
    ]);
  });
  after(() => Promise.all([unsynced.stop(), synced.stop()]));

  const single = (cluster: NatsCluster, name: string) => ({
    servers: cluster.servers,
    monitors: cluster.monitors,
    name,
    replicas: 1 as const,
    allowFewReplicas: true,
  });
  const unsafe = (message: RegExp) => (error: unknown) => {
    assert.equal((error as { code?: string }).code, "STORE_UNSAFE");
    assert.match((error as Error).message, message);
    return true;
  };

  /** A server that only says who it is, as an old one would. */
  async function greeting(t: TestContext, info: object): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.write(
        `INFO ${JSON.stringify({ server_id: "X", max_payload: 1_048_576, headers: true, proto: 1, ...info })}\r\n`,
      );
      socket.on("data", (data) => {
        if (data.includes("PING\r\n")) socket.write("PONG\r\n");
      });
      socket.on("error", () => {});
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return `nats://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** A monitoring address that answers what it is told to. */
  async function monitoring(t: TestContext, body: string, status = 200): Promise<string> {
    const server = createHttp((_, answer) => answer.writeHead(status).end(body));
    await once(server.listen(0, "127.0.0.1"), "listening");
    t.after(() => server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("servers without atomic batches are refused, and clustered ones that break compare-and-swap named as such", async (t) => {
    for (const [info, message] of [
      [{ version: "2.11.9", server_name: "n1" }, /n1 has version 2\.11\.9: at least 2\.12\.0/],
      [{ version: "2.10.26", cluster: "c" }, /two writers can win the same epoch/],
    ] as const) {
      const server = await greeting(t, info);
      await assert.rejects(NatsStore.open({ servers: [server], allowUnsynced: true }), unsafe(message));
    }
  });

  test("a server that acknowledges before the disk has the data is refused, unless that was accepted", async () => {
    await assert.rejects(NatsStore.open(single(unsynced, "s1")), unsafe(/n1 .*before they are on disk/));
    const store = await NatsStore.open({ ...single(unsynced, "s1"), allowUnsynced: true });
    assert.equal((await store.head()).epoch, 0);
    await store.close();
  });

  test("what the monitoring does not confirm is refused", async (t) => {
    const { monitors } = synced;
    const none = await monitoring(t, "{}", 503);
    const other = await monitoring(t, '{"hello": "world"}');
    const twice = [monitors[0]!, monitors[0]!, monitors[0]!];
    for (const [urls, message] of [
      [[], /0 monitoring addresses for 1 replicas/],
      [["http://127.0.0.1:1"], /0 of 1 servers answered/],
      [[none], /answers 503/],
      [[other], /is not nats-server's/],
      // One server under three names is one server.
      [twice, /1 of 3 servers answered/],
      [[monitors[0]!, none], /1 of 2 servers answered/],
    ] as const) {
      await assert.rejects(NatsStore.open({ ...single(synced, "s2"), monitors: urls }), unsafe(message));
    }
    // One of three may be down.
    const second = await monitoring(
      t,
      JSON.stringify({ version: "2.12.4", server_id: "second", jetstream: { config: { sync_always: true } } }),
    );
    const store = await NatsStore.open({ ...single(synced, "s2"), monitors: [monitors[0]!, second, none] });
    await store.close();
  });

  test("fewer than three replicas are refused, unless that was accepted", async () => {
    await assert.rejects(
      NatsStore.open({ ...single(synced, "s3"), allowFewReplicas: false }),
      unsafe(/1 replica is asked for/),
    );
  });

  test("a stream that drops, deletes or cannot hold batches is refused by the name of the setting", async () => {
    const nc = await connect({ servers: synced.servers });
    const jsm = await jetstreamManager(nc);
    const good = {
      allow_atomic: true,
      deny_delete: true,
      deny_purge: true,
      discard: "new",
      allow_rollup_hdrs: false,
    } as const;
    const cases: [string, object, RegExp][] = [
      ["b1", { allow_atomic: false }, /does not allow atomic batches/],
      ["b2", { discard: "old" }, /discard "old"/],
      ["b3", { max_age: 3_600_000_000_000 }, /max_age 3600000000000/],
      ["b4", { deny_delete: false }, /deny_delete false/],
      ["b5", { deny_purge: false }, /deny_purge false/],
      ["b6", { max_msgs_per_subject: 1 }, /max_msgs_per_subject 1/],
      ["b7", { storage: "memory" }, /storage "memory"/],
      ["b8", { retention: RetentionPolicy.Interest }, /retention "interest"/],
    ];
    for (const [name, setting, message] of cases) {
      await jsm.streams.add({ name, subjects: [`${name}.>`], ...good, ...setting } as Parameters<
        typeof jsm.streams.add
      >[0]);
      await assert.rejects(NatsStore.open(single(synced, name)), unsafe(message), name);
    }
    await nc.close();
  });

  test("versions are compared by number", () => {
    assert.ok(atLeast("2.12.0", "2.12.0"));
    assert.ok(atLeast("2.100.1", "2.12.0"));
    assert.ok(atLeast("v3.0.0-beta.1", "2.12.0"));
    assert.ok(!atLeast("2.9.99", "2.12.0"));
    assert.ok(!atLeast("2.12", "2.12.0"));
    assert.ok(!atLeast("", "2.12.0"));
  });
});
