import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import type { BallastError } from "../../../common/errors.ts";
import { digestHex } from "../../../common/xxh64.ts";
import { findNats } from "../../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../../scripts/lib/nats-cluster.ts";
import { run as audit } from "../../cli/audit.ts";
import { buildTable } from "../../table/build.ts";
import { makeSet } from "../../table/set.ts";
import { auditLog } from "../audit-log.ts";
import { LEADER_LEASE } from "../store.ts";
import { activeCheckpoint, testRecord } from "../test-records.ts";
import { NatsStore } from "./nats-store.ts";

/**
 * One byte of what a nats-server holds is changed, as a restored copy or somebody with all rights would change it: the stream is
 * made again with the same messages but one. (A byte changed on a server's disk is not handed out by it: its own sums find it,
 * and the message is missing.)
 */

const skip = (await findNats()) === null && "no nats-server: npm test fetches one";
const NAME = "changed";
const TERM = 1;

interface Stored {
  subject: string;
  data: Uint8Array;
  headers: Record<string, string>;
}

describe("a changed byte of what NATS stores", { skip }, () => {
  let cluster: NatsCluster;
  let nc: NatsConnection;
  let messages: Stored[];
  let tableDigest: string;
  let folder: string;
  before(async () => {
    cluster = await NatsCluster.start({ size: 1, maxPayloadBytes: 16_384 });
    nc = await connect({ servers: cluster.servers });
    folder = await mkdtemp(join(tmpdir(), "ballast-changed-"));
    const store = await open();
    assert.ok((await store.lease(LEADER_LEASE, { holder: "a", ttlMs: 60_000 })).granted);
    const epoch = await store.reserve(0, { holder: "a", term: TERM });
    const shares = { basePpm: 500_000, weightPpm: 500_000, stickyPpm: 500_000, draining: false };
    const targets = ["a", "b"].map((name) => ({ name, ...shares }));
    const set = makeSet([buildTable({ service: "s", observe: false, slots: 16_384, targets, previous: null }).encoded]);
    tableDigest = digestHex(set.tables[0]!.digest);
    await store.commit(0, activeCheckpoint(testRecord(epoch, 0, set, TERM)), set.tables);
    await store.append({ kind: "note", epoch, topic: "large", detail: "x".repeat(20_000) }, { term: TERM });
    await store.append({ kind: "note", epoch: null, topic: "small", detail: null }, { term: TERM });
    assert.deepEqual((await auditLog(store)).faults, []);
    await store.close();
    messages = await readAll();
  });
  after(async () => {
    await nc?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true });
  });

  function open(): Promise<NatsStore> {
    const { servers, monitors } = cluster;
    return NatsStore.open({ servers, monitors, name: NAME, replicas: 1, allowFewReplicas: true, timeoutMs: 20_000 });
  }

  async function readAll(): Promise<Stored[]> {
    const jsm = await jetstreamManager(nc);
    const { state } = await jsm.streams.info(NAME);
    const all: Stored[] = [];
    for (let seq = 1; seq <= state.last_seq; seq++) {
      const message = (await jsm.streams.getMessage(NAME, { seq }))!;
      const own = [...message.header].filter(([name]) => !name.startsWith("Nats-"));
      all.push({
        subject: message.subject,
        data: message.data.slice(),
        headers: Object.fromEntries(own.map(([name, values]) => [name, values[0]!])),
      });
    }
    return all;
  }

  /** Makes the stream again of these messages, under the same sequences. */
  async function writeAll(all: readonly Stored[]): Promise<void> {
    const jsm = await jetstreamManager(nc);
    const { config } = await jsm.streams.info(NAME);
    await jsm.streams.delete(NAME);
    await jsm.streams.add(config);
    const js = jetstream(nc);
    for (const [i, message] of all.entries()) {
      const own = headers();
      for (const [name, value] of Object.entries(message.headers)) own.set(name, value);
      assert.equal((await js.publish(message.subject, message.data, { headers: own })).seq, i + 1);
    }
  }

  const flipped = (data: Uint8Array, at: number): Uint8Array => {
    const copy = data.slice();
    copy[at]! ^= 1;
    return copy;
  };

  async function faultsOf(all: readonly Stored[]): Promise<{ seq: number | null; what: string }[]> {
    await writeAll(all);
    const store = await open();
    try {
      return (await auditLog(store)).faults;
    } finally {
      await store.close();
    }
  }

  test("is named by its entry, its table or the head, wherever it lies", async () => {
    assert.deepEqual(await faultsOf(messages), [], "written again as it was, it is sound");
    const present = messages.findLastIndex(({ subject }) => subject === `${NAME}.head`);
    const looked: string[] = [];
    for (const [i, { subject, data }] of messages.entries()) {
      const [, what, number] = subject.split(".");
      // What a later head replaced is not read by anybody.
      if (what === "head" && i !== present) continue;
      const at = (i * 7919) % data.length;
      const faults = await faultsOf(messages.with(i, { ...messages[i]!, data: flipped(data, at) }));
      const told = JSON.stringify({ subject, at, faults });
      assert.equal(faults.length, 1, told);
      if (what === "log") assert.equal(faults[0]!.seq, Number(number), told);
      else if (what === "table") assert.ok(number === tableDigest && faults[0]!.what.includes(tableDigest), told);
      else assert.match(faults[0]!.what, new RegExp(`the head at ${present + 1} `), told);
      looked.push(what === "head" ? "head" : `${what} ${subject.split(".").at(-1)}`);
    }
    // Parts behind the first, of the table and of the long entry, were among them.
    for (const kind of ["head", "log 0", "log 1", "table 0", "table 2"]) assert.ok(looked.includes(kind), `${looked}`);
  });

  test("does not hide the others: every fault of log, table and lease is printed by audit verify, with exit code 5", async () => {
    const entry = (seq: number) => messages.findIndex(({ subject }) => subject.startsWith(`${NAME}.log.${seq}.`));
    let all: readonly Stored[] = messages;
    for (const i of [entry(1), entry(3)]) all = all.with(i, { ...all[i]!, data: flipped(all[i]!.data, 9) });
    const table = messages.findIndex(({ subject }) => subject.startsWith(`${NAME}.table.`));
    all = all.with(table, { ...all[table]!, data: flipped(all[table]!.data, 30) });
    await writeAll(all);
    const leases = await new Kvm(nc).open(`${NAME}_lease`);
    const lease = (await leases.get(LEADER_LEASE))!;
    await leases.put(LEADER_LEASE, lease.string().replace('"holder":"a"', '"holder":"b"'));

    const config = join(folder, "ballast.yaml");
    const nats = `{ servers: [${cluster.servers}], monitor: [${cluster.monitors}], name: ${NAME}, replicas: 1, allowFewReplicas: true }`;
    const demo = await readFile("demo/ballast.yaml", "utf8");
    await writeFile(config, `${demo.replace(/^store:\n( .*\n)+/m, "")}\nstore: { nats: ${nats} }\n`);
    const io = { out: () => {}, err: () => {}, color: false };
    await assert.rejects(audit(["verify", "--config", config], io), (thrown: BallastError) => {
      assert.equal(thrown.code, "AUDIT_FAILED");
      assert.match(thrown.message, /4 faults; sound up to entry 0/);
      for (const named of [/entry 1 .*hash/, /entry 3 .*hash/, /entry 2 .*table/, /lease leader/])
        assert.match(thrown.message, named);
      return true;
    });
    const store = await open();
    await assert.rejects(store.lease(LEADER_LEASE, { holder: "b", ttlMs: 60_000 }), { code: "STORE_CORRUPT" });
    await store.close();
    await leases.put(LEADER_LEASE, lease.value);
    assert.deepEqual(await faultsOf(messages), []);
  });

  test("a lease that was lost, or set back below the term of the head, is found", async () => {
    assert.deepEqual(await faultsOf(messages), []);
    const leases = await new Kvm(nc).open(`${NAME}_lease`);
    await leases.delete(LEADER_LEASE);
    const store = await open();
    assert.deepEqual((await auditLog(store)).faults, [
      { seq: null, what: `the leader's lease has token 0, the head term ${TERM}` },
    ]);
    await store.close();
  });
});
