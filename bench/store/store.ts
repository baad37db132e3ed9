import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { openStore } from "../../control/checkpoint/open-store.ts";
import type { CheckpointStore } from "../../control/checkpoint/store.ts";
import { activeCheckpoint, testRecord } from "../../control/checkpoint/test-records.ts";
import { buildTable } from "../../control/table/build.ts";
import { makeSet } from "../../control/table/set.ts";
import type { TableSet } from "../../control/table/table.ts";
import { NATS_VERSION } from "../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { describeMachine, loadAverage } from "../lib/machine.ts";
import { seededRandom, shuffled } from "../lib/random.ts";
import { writeResults } from "../lib/results.ts";
import { quantile } from "../lib/stats.ts";
import { formatTable } from "../lib/table.ts";
import type { BenchOptions } from "../main.ts";

/** What one write of the checkpoint store takes: SQLite beside NATS with and without sync, one server and three. */
const SERVICES = 20;
const FULL = { rounds: 20, writes: 50 };
const QUICK = { rounds: 6, writes: 20 };

interface Row {
  name: string;
  store: CheckpointStore;
  stop: () => Promise<void>;
  /** ms per call */
  appends: number[];
  epochs: number[];
}

export async function run(options: BenchOptions): Promise<object> {
  const { rounds, writes } = options.quick ? QUICK : FULL;
  const random = seededRandom(1);
  const rows: Row[] = [];
  try {
    rows.push(await sqliteRow());
    for (const [size, syncAlways] of [
      [3, true],
      [3, false],
      [1, true],
    ] as const) {
      rows.push(await natsRow(size, syncAlways));
    }
    for (let round = 0; round < rounds; round++) {
      for (const row of shuffled(rows, random)) await measure(row, writes, round);
    }
    const table = report(rows);
    const text = `nats-server ${NATS_VERSION}; ${describeMachine()}; load ${loadAverage()}. Times in ms, one writer, ${rounds} interleaved rounds.\n\n${table}`;
    console.log(text);
    if (!options.quick) await writeResults("store", text);
    const figures = (row: Row) => ({
      append_ms: { p50: quantile(row.appends, 0.5), p99: quantile(row.appends, 0.99) },
      epoch_ms: { p50: quantile(row.epochs, 0.5), p99: quantile(row.epochs, 0.99) },
    });
    return { rows: Object.fromEntries(rows.map((row) => [row.name, figures(row)])) };
  } finally {
    for (const row of rows) {
      await row.store.close();
      await row.stop();
    }
  }
}

async function measure(row: Row, writes: number, round: number): Promise<void> {
  const { store } = row;
  for (let i = 0; i < writes; i++) {
    const start = performance.now();
    await store.append({ kind: "note", epoch: null, topic: "bench", detail: "x".repeat(500) }, { term: 0 });
    row.appends.push(performance.now() - start);
  }
  // A tenth as many: each is two writes and a table.
  for (let i = 0; i < writes / 10; i++) {
    const set = setOf(round * writes + i);
    const start = performance.now();
    const { epoch: parent } = await store.head();
    const epoch = await store.reserve(parent, { holder: "bench", term: 0 });
    await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set)), set.tables);
    row.epochs.push(performance.now() - start);
  }
}

/** Twenty services; one of them differs from set to set. */
function setOf(step: number): TableSet {
  const share = (ppm: number) => ({ basePpm: ppm, weightPpm: ppm, stickyPpm: ppm, draining: false });
  const tables = Array.from({ length: SERVICES }, (_, i) => {
    const ppm = i === 0 ? 1_000 * (1 + (step % 999)) : 500_000;
    const targets = [
      { name: "a", ...share(ppm) },
      { name: "b", ...share(1_000_000 - ppm) },
    ];
    return buildTable({ service: `service-${i}`, observe: false, slots: 1024, targets, previous: null }).encoded;
  });
  return makeSet(tables);
}

async function sqliteRow(): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), "ballast-bench-store-"));
  const store = await openStore({ sqlite: join(folder, "ballast.db"), nats: null });
  const stop = () => rm(folder, { recursive: true });
  return { name: "SQLite, synchronous=FULL", store, stop, appends: [], epochs: [] };
}

async function natsRow(size: 1 | 3, syncAlways: boolean): Promise<Row> {
  const cluster = await NatsCluster.start({ size, syncAlways });
  const store = await openStore({
    sqlite: "",
    nats: {
      servers: cluster.servers,
      monitors: cluster.monitors,
      name: "bench",
      replicas: size,
      credentialsFile: null,
      tls: null,
      timeoutMs: 20_000,
      maxBytes: 0,
      allowFewReplicas: size === 1,
      allowUnsynced: !syncAlways,
    },
  });
  const name = `NATS, ${size === 1 ? "one server" : "three servers"}, ${syncAlways ? "sync always" : "sync every 2 min"}`;
  return { name, store, stop: () => cluster.stop(), appends: [], epochs: [] };
}

function report(rows: readonly Row[]): string {
  const cells = (values: readonly number[]) => [0.5, 0.99].map((q) => quantile(values, q).toFixed(2));
  return formatTable(
    ["store", "entry p50", "p99", "epoch p50", "p99"],
    rows.map((row) => [row.name, ...cells(row.appends), ...cells(row.epochs)]),
  );
}
