import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import { auditLog } from "../../control/checkpoint/audit-log.ts";
import { type CheckpointStore, LEADER_LEASE } from "../../control/checkpoint/store.ts";
import { activeCheckpoint, recordSet, testRecord } from "../../control/checkpoint/test-records.ts";
import { WriterProcess } from "./writer-process.ts";

/** Multiplies the rounds of the fault tests; 1 keeps them within a minute. */
export const FAULT_ROUNDS = Number(process.env.BALLAST_FAULT_ROUNDS ?? 1);

/** An empty store, for this process and, by its description, for a WriterProcess. */
export interface FaultStore {
  description: object;
  open(): Promise<CheckpointStore>;
}

/** Everything that was reported as committed is there, and the log is sound. */
export async function assertKept(store: CheckpointStore, reported: readonly number[]): Promise<void> {
  assert.deepEqual((await auditLog(store)).faults, []);
  const committed = new Set<number>();
  for (let fromSeq = 1; ; ) {
    const page = await store.history({ fromSeq, kind: "checkpoint", limit: 1000 });
    for (const { body } of page) committed.add(body.epoch!);
    if (page.length < 1000) break;
    fromSeq = page.at(-1)!.seq + 1;
  }
  const lost = reported.filter((epoch) => !committed.has(epoch));
  assert.deepEqual(lost, [], "reported as committed, but not in the log");
  assert.equal(new Set(reported).size, reported.length, "an epoch was reported twice");
}

export async function commitNext(store: CheckpointStore, term: number): Promise<number> {
  const { epoch: parent } = await store.head();
  const epoch = await store.reserve(parent, { holder: "test", term });
  const set = recordSet(500_000);
  await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set, term)), set.tables);
  return epoch;
}

/** Faults of a writing process, which every adapter must stand. */
export function writerFaults(name: string, fresh: () => Promise<FaultStore>): void {
  test(`${name}: a writer that dies by SIGKILL loses nothing that it reported, and leaves nothing half-written`, async () => {
    const under = await fresh();
    const store = await under.open();
    const reported: number[] = [];
    for (let round = 0; round < 3 * FAULT_ROUNDS; round++) {
      await using writer = new WriterProcess(under.description, `writer-${round}`, 50);
      await writer.until(() => writer.epochs.length >= 5);
      // Somewhere within a cycle of reserve and commit.
      await sleep(Math.random() * 10);
      await writer.end("SIGKILL");
      reported.push(...writer.epochs);
      await sleep(60);
    }
    await assertKept(store, reported);
    const { epoch, term } = await store.head();
    assert.ok((await commitNext(store, term)) > epoch);
    await store.close();
  });

  test(`${name}: a leader that was paused past its lease changes nothing when it wakes up`, async () => {
    const under = await fresh();
    const store = await under.open();
    const reported: number[] = [];
    for (let round = 0; round < 3 * FAULT_ROUNDS; round++) {
      await using old = new WriterProcess(under.description, `old-${round}`, 100);
      await old.until(() => old.epochs.length >= 3);
      await sleep(Math.random() * 10);
      const successor = await pauseAndTakeOver(old, store, `new-${round}`);
      reported.push(await commitNext(store, successor));
      old.signal("SIGCONT");
      // Its next write, whichever it is in the middle of, must be refused; then it ends by itself.
      for (let i = 0; i < 3; i++) reported.push(await commitNext(store, successor));
      await old.end();
      assert.equal(old.said.at(-1)?.code, "STORE_FENCED");
      const { seq, term } = (await store.history({ newestFirst: true, limit: 1 }))[0]!;
      assert.equal(term, successor);
      const ofOld = (await store.history({ newestFirst: true, limit: 1000 })).find((entry) => entry.term < successor);
      assert.ok(ofOld !== undefined && ofOld.seq < seq);
      reported.push(...old.epochs);
      // Frees the lease for the next round.
      await store.lease(LEADER_LEASE, { holder: `new-${round}`, ttlMs: 0, token: successor });
    }
    // Among other things: terms never fall along the log, so nothing of an old leader follows its successor.
    await assertKept(store, reported);
    await store.close();
  });
}

/**
 * Pauses a leader and asks for its lease until that has run out. With SQLite a writer may be paused inside a transaction; nobody
 * else can write then, the successor neither (STORE_UNREADABLE): it is let go and paused again elsewhere.
 */
async function pauseAndTakeOver(old: WriterProcess, store: CheckpointStore, holder: string): Promise<number> {
  old.signal("SIGSTOP");
  for (let i = 0; i < 500; i++) {
    try {
      const answer = await store.lease(LEADER_LEASE, { holder, ttlMs: 60_000 });
      if (answer.granted) return answer.token;
    } catch (error) {
      if (!(error instanceof BallastError && error.code === "STORE_UNREADABLE")) throw error;
      old.signal("SIGCONT");
      await sleep(Math.random() * 20);
      old.signal("SIGSTOP");
    }
    await sleep(20);
  }
  throw new Error("the lease of a paused leader does not run out");
}
