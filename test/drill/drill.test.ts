import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { auditVerify } from "../../control/checkpoint/audit.ts";
import { auditLog } from "../../control/checkpoint/audit-log.ts";
import { NatsStore } from "../../control/checkpoint/nats/nats-store.ts";
import { type CheckpointRecord, tableRefs } from "../../control/checkpoint/record.ts";
import { SqliteStore } from "../../control/checkpoint/sqlite-store.ts";
import { type CheckpointStore, LEADER_LEASE } from "../../control/checkpoint/store.ts";
import { activeCheckpoint, testRecord } from "../../control/checkpoint/test-records.ts";
import { loadConfig } from "../../control/config/load-config.ts";
import { restoreInForce } from "../../control/serve/in-force.ts";
import { buildTable, type TableInput } from "../../control/table/build.ts";
import { tableDigest } from "../../control/table/codec.ts";
import { MAX_TABLE_BYTES } from "../../control/table/limits.ts";
import { makeSet, setDigest } from "../../control/table/set.ts";
import type { EncodedTable, TableSet } from "../../control/table/table.ts";
import { startXdsServer } from "../../control/xds/server.ts";
import { SimulatedFilter } from "../../control/xds/simulated-filter.ts";
import { findNats } from "../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { deploy, settle, splitSet, start, table } from "../host/fixtures.ts";

/**
 * What outages of others began with, refused three times: by what makes a set (producer), by what keeps it (store), and by what
 * would use it (the released filter on the strict host). Each refusal has its code, and what serves goes on.
 */

const log = { info() {}, warn() {}, error() {} };
const GOOD = table("payments", { order: { a: 100, b: 156 } });
/** After the header and the service's name: the length of the first target's name. */
const FIRST_TARGET = 26 + "payments".length;
const FIRST_QUOTA = FIRST_TARGET + 2 + "a".length;

/** Other bytes under the digest that they then have, in a set whose digest fits. */
function forge(change: (bytes: Uint8Array, view: DataView) => Uint8Array | undefined): TableSet {
  const copy = GOOD.bytes.slice();
  const bytes = change(copy, new DataView(copy.buffer)) ?? copy;
  const digest = bytes.length > MAX_TABLE_BYTES ? GOOD.digest : tableDigest(bytes);
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(16, digest, true);
  return named([{ service: "payments", digest, bytes }]);
}

function named(tables: readonly EncodedTable[]): TableSet {
  return { digest: setDigest(tables), tables };
}

/** The first power of two whose two arrays alone have more bytes than any table may have. */
const OVERSIZE_SLOTS = 2 ** Math.ceil(Math.log2((MAX_TABLE_BYTES + 1) / 2));

const target = (name: string, ppm: number) => ({ name, basePpm: ppm, weightPpm: ppm, stickyPpm: ppm, draining: false });
const input = (more: Partial<TableInput>): TableInput => ({
  service: "payments",
  observe: false,
  slots: 256,
  targets: [target("a", 400_000), target("b", 600_000)],
  previous: null,
  ...more,
});

function code(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof BallastError) return thrown.code;
    throw thrown;
  }
  return "accepted";
}

interface Case {
  what: string;
  producer: () => unknown;
  producerCode: string;
  /** What a store is asked to commit. */
  set: TableSet;
  record?: (record: CheckpointRecord) => CheckpointRecord;
  storeCode: string;
  /** What a filter is sent; default `set`. */
  sent?: TableSet;
  filterCode: string;
}

const CASES: Case[] = [
  {
    what: "an oversize table",
    producer: () => buildTable(input({ slots: OVERSIZE_SLOTS })),
    producerCode: "TABLE_WEIGHTS_INVALID",
    set: forge((bytes, view) => {
      const large = new Uint8Array(MAX_TABLE_BYTES + 1);
      view.setUint32(12, large.length, true);
      large.set(bytes);
      return large;
    }),
    storeCode: "TABLE_INVALID",
    filterCode: "TABLE_LENGTH",
  },
  {
    what: "more targets than an index can name",
    producer: () =>
      buildTable(
        input({
          targets: Array.from({ length: 256 }, (_, i) => target(`t${i}`, i === 0 ? 1_000_000 - 255 * 3906 : 3906)),
        }),
      ),
    producerCode: "TABLE_WEIGHTS_INVALID",
    set: forge((_, view) => view.setUint16(10, 256, true) as undefined),
    storeCode: "TABLE_INVALID",
    filterCode: "TABLE_TARGETS",
  },
  {
    what: "a weight that is no number",
    producer: () => buildTable(input({ targets: [target("a", Number.NaN), target("b", 600_000)] })),
    producerCode: "TABLE_WEIGHTS_INVALID",
    set: named([GOOD]),
    record: (record) => ({
      ...record,
      services: [
        {
          name: "payments",
          mode: "steer",
          why: "x",
          targets: [
            { name: "a", beforePpm: null, weightPpm: Number.NaN, stickyPpm: 1_000_000, draining: false, causes: [] },
          ],
        },
      ],
    }),
    storeCode: "CHECKPOINT_INVALID",
    // On the wire a weight is a quota of 16 bits; a producer that did not look would write no number as it is written here.
    sent: forge((_, view) => view.setUint16(FIRST_QUOTA, Number.NaN, true) as undefined),
    filterCode: "TABLE_QUOTA",
  },
  {
    what: "a quota beyond all slots",
    producer: () => buildTable(input({ targets: [target("a", 1_400_000), target("b", -400_000)] })),
    producerCode: "TABLE_WEIGHTS_INVALID",
    set: forge((_, view) => view.setUint16(FIRST_QUOTA, 0xffff, true) as undefined),
    storeCode: "TABLE_INVALID",
    filterCode: "TABLE_QUOTA",
  },
  {
    what: "an empty set",
    producer: () => makeSet([]),
    producerCode: "TABLE_SET_INVALID",
    set: named([]),
    storeCode: "TABLE_SET_INVALID",
    filterCode: "SET_EMPTY",
  },
  {
    what: "a table without targets",
    producer: () => buildTable(input({ targets: [] })),
    producerCode: "TABLE_WEIGHTS_INVALID",
    set: forge((_, view) => view.setUint16(10, 0, true) as undefined),
    storeCode: "TABLE_INVALID",
    filterCode: "TABLE_TARGETS",
  },
  {
    what: "a target twice",
    producer: () => buildTable(input({ targets: [target("a", 400_000), target("a", 600_000)] })),
    producerCode: "TABLE_INVALID",
    set: forge((bytes) => {
      bytes[FIRST_TARGET + 2] = "b".charCodeAt(0);
      return bytes;
    }),
    storeCode: "TABLE_INVALID",
    filterCode: "TABLE_DUPLICATE",
  },
  {
    what: "a service twice",
    producer: () => makeSet([GOOD, GOOD]),
    producerCode: "TABLE_SET_INVALID",
    set: named([GOOD, GOOD]),
    storeCode: "TABLE_SET_INVALID",
    filterCode: "SET_ORDER",
  },
  {
    what: "a blank name",
    producer: () => buildTable(input({ targets: [target("", 400_000), target("b", 600_000)] })),
    producerCode: "TABLE_INVALID",
    set: forge((bytes) => {
      bytes[FIRST_TARGET + 2] = " ".charCodeAt(0);
      return bytes;
    }),
    storeCode: "TABLE_INVALID",
    filterCode: "TABLE_NAME",
  },
];

describe("the producer refuses", () => {
  for (const { what, producer, producerCode } of CASES) {
    test(`${what} as ${producerCode}`, () => assert.equal(code(producer), producerCode));
  }
});

/** A store of its own for the drill. */
interface Kept {
  store: CheckpointStore;
  /** What an audit of the store, closed by then, finds. */
  faults(): Promise<readonly unknown[]>;
  remove(): Promise<void>;
}

async function onSqlite(): Promise<Kept> {
  const dir = await mkdtemp(join(tmpdir(), "ballast-drill-"));
  const path = join(dir, "store.db");
  return {
    store: SqliteStore.open({ path }),
    faults: async () => auditVerify(path).faults,
    remove: () => rm(dir, { recursive: true }),
  };
}

async function onNats(): Promise<Kept> {
  const cluster = await NatsCluster.start();
  const open = () =>
    NatsStore.open({ servers: cluster.servers, monitors: cluster.monitors, name: "drill", timeoutMs: 20_000 });
  return {
    store: await open(),
    faults: async () => {
      const again = await open();
      try {
        return (await auditLog(again)).faults;
      } finally {
        await again.close();
      }
    },
    remove: () => cluster.stop(),
  };
}

const hasNats = (await findNats()) !== null;
if (!hasNats && (process.env.CI ?? "") !== "") throw new Error("no nats-server: the drill of the NATS store needs one");
storeRefuses("SQLite", onSqlite, false);
storeRefuses("NATS", onNats, !hasNats && "no nats-server: npm test fetches one");

function storeRefuses(adapter: string, begin: () => Promise<Kept>, skip: string | false): void {
  describe(`the store on ${adapter} refuses`, { skip }, () => refusalsOf(begin));
}

function refusalsOf(begin: () => Promise<Kept>): void {
  let kept: Kept;
  let store: CheckpointStore;
  let term = 0;
  before(async () => {
    kept = await begin();
    store = kept.store;
    const lease = await store.lease(LEADER_LEASE, { holder: "drill", ttlMs: 60_000 });
    assert.ok(lease.granted);
    term = lease.token;
    await commit(named([GOOD]), (record) => record);
  });
  after(async () => {
    if (kept === undefined) return;
    try {
      await store.close();
      assert.deepEqual(await kept.faults(), [], "what was refused left no trace but its reserved epoch");
    } finally {
      await kept.remove();
    }
  });

  async function commit(set: TableSet, change: (record: CheckpointRecord) => CheckpointRecord): Promise<void> {
    const { epoch: parent } = await store.head();
    const epoch = await store.reserve(parent, { holder: "drill", term });
    const record = {
      ...testRecord(epoch, parent, named([GOOD]), term),
      setDigest: digestHex(set.digest),
      tables: tableRefs(set),
    };
    await store.commit(parent, activeCheckpoint(change(record)), set.tables);
  }

  const refused = async (storeCode: string, set: TableSet, change: (record: CheckpointRecord) => CheckpointRecord) => {
    const head = await store.head();
    await assert.rejects(commit(set, change), (thrown: BallastError) => {
      assert.equal(thrown.code, storeCode, thrown.message);
      return true;
    });
    assert.equal((await store.head()).epoch, head.epoch, "what is in force stays");
  };

  for (const { what, set, record, storeCode } of CASES) {
    test(`${what} as ${storeCode}`, () => refused(storeCode, set, record ?? ((same) => same)));
  }

  test("a blank author, whose table is sound, as CHECKPOINT_INVALID", () =>
    refused("CHECKPOINT_INVALID", named([GOOD]), (record) => ({ ...record, author: { kind: "planner", name: " " } })));

  test("a lower epoch as STORE_CONFLICT", async () => {
    await commit(splitSet("payments", 200), (record) => record);
    await refused("STORE_CONFLICT", named([GOOD]), (record) => ({ ...record, epoch: 1 }));
  });

  test("a foreign fleet as FLEET_MISMATCH", () =>
    refused("FLEET_MISMATCH", named([GOOD]), (record) => ({ ...record, fleet: "another" })));
}

describe("the filter refuses", () => {
  for (const { what, set, sent = set, filterCode } of CASES) {
    test(`${what} as ${filterCode}, and the old set serves on`, () => {
      const { envoy, peer } = start({ workers: 1 });
      settle(envoy);
      deploy(envoy, peer, 1, splitSet("payments", 256));
      const nonce = peer.stage(2, sent);
      envoy.advance(300);
      const answer = peer.answer(nonce);
      assert.ok(answer?.error.startsWith(`${filterCode}: `), JSON.stringify(answer ?? peer.nacks));
      assert.match(answer?.version ?? "", /^1-/);
      assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
      for (const vm of envoy.vms) assert.equal(vm.trapped, undefined);
    });
  }

  test("a lower epoch as EPOCH_STALE, and the old set serves on", () => {
    const { envoy, peer } = start({ workers: 1 });
    settle(envoy);
    deploy(envoy, peer, 5, splitSet("payments", 256));
    const nonce = peer.stage(4, splitSet("payments", 0));
    envoy.advance(300);
    assert.ok(peer.answer(nonce)?.error.startsWith("EPOCH_STALE: "), JSON.stringify(peer.answer(nonce)));
    assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
  });

  test("what a server of a foreign fleet offers, for it is refused there as FLEET_MISMATCH, and the old set serves on", async () => {
    const foreign = await startXdsServer({ address: "127.0.0.1:0", fleet: "another", log, clock: systemClock });
    const { envoy, peer } = start({ workers: 1 });
    settle(envoy);
    deploy(envoy, peer, 5, splitSet("payments", 256));
    // What this very filter says of itself, said to a real server of another fleet: a Stage names no fleet, so it must not get one.
    const said = peer.requests.find(({ message }) => message.node !== undefined)!.message.node!;
    const stray = new SimulatedFilter({ port: foreign.port, fleet: said.cluster, id: said.id, instance: "x" }).open();
    try {
      await stray.until(() => stray.events.at(-1)?.kind === "closed");
      const end = stray.events.at(-1);
      assert.ok(end?.kind === "closed" && end.details.startsWith("FLEET_MISMATCH: "), JSON.stringify(end));
      assert.equal(stray.events.length, 1, "and nothing before it");
      envoy.grpc.closeByPeer(peer.stream, end.code);
      envoy.advance(300);
      assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
      for (const vm of envoy.vms) assert.equal(vm.trapped, undefined);
    } finally {
      stray.close();
      await foreign.stop();
    }
  });
});

describe("the producer refuses, of a running server", () => {
  test("a store of a foreign fleet as FLEET_MISMATCH, before anything is served", async () => {
    const dir = await mkdtemp(join(tmpdir(), "ballast-drill-"));
    const store = SqliteStore.open({ path: join(dir, "store.db") });
    try {
      const epoch = await store.reserve(0, { holder: "drill", term: 0 });
      await store.commit(0, activeCheckpoint(testRecord(epoch, 0, named([GOOD]))), [GOOD]);
      const config = { ...(await loadConfig("demo/ballast.yaml")), fleet: "another" };
      await assert.rejects(restoreInForce(store, config), { code: "FLEET_MISMATCH" });
    } finally {
      await store.close();
      await rm(dir, { recursive: true });
    }
  });

  test("a lower epoch as STORE_CONFLICT, and gives a foreign fleet no vote", lowerEpoch);
});

async function lowerEpoch(): Promise<void> {
  const committed = { epoch: 5, term: 1, set: named([GOOD]), mode: "steer" as const };
  const server = await startXdsServer({
    address: "127.0.0.1:0",
    fleet: "demo",
    log,
    clock: systemClock,
    restore: { reservedEpoch: 9, committed },
  });
  const member = new SimulatedFilter({ port: server.port, fleet: "demo", id: "edge-1", instance: "a" }).open();
  const stranger = new SimulatedFilter({ port: server.port, fleet: "another", id: "edge-2", instance: "b" }).open();
  try {
    await member.until(() => member.activeVersion.startsWith("5-"));
    await assert.rejects(
      server.fleet.stage(splitSet("payments", 256), { epoch: 4, term: 1, deadlineMs: 1_000, quorum: "all" }),
      /STORE_CONFLICT/,
    );
    const round = await server.fleet.stage(splitSet("payments", 256), {
      epoch: 10,
      term: 1,
      deadlineMs: 5_000,
      quorum: "all",
    });
    assert.equal(round.ok, true, "the stranger has no vote");
    assert.deepEqual(
      round.nodes.map(({ id }) => id),
      ["edge-1"],
    );
    assert.deepEqual(
      stranger.events.map(({ kind }) => kind),
      ["closed"],
    );
  } finally {
    member.close();
    stranger.close();
    await server.stop();
  }
}
