import assert from "node:assert/strict";
import { auditLog } from "../../control/checkpoint/audit-log.ts";
import type { CheckpointRecord } from "../../control/checkpoint/record.ts";
import type { CheckpointStore } from "../../control/checkpoint/store.ts";
import type { Seen } from "./watched-load.ts";

const PAGE = 1000;

/** The committed checkpoints by epoch, after every entry was held against its hash, its place and the state machine. */
export async function soundHistory(store: CheckpointStore): Promise<Map<number, CheckpointRecord>> {
  const report = await auditLog(store);
  assert.deepEqual(report.faults, [], "the chain does not verify");
  const committed = new Map<number, CheckpointRecord>();
  // The servers go on: what they write after this look at the head belongs to the next one.
  const { epoch: head, tip } = await store.head();
  for (let fromSeq = 1; ; ) {
    const page = await store.history({ fromSeq, limit: PAGE });
    for (const { body, seq } of page) {
      if (seq > tip.seq || body.kind !== "checkpoint" || body.checkpoint.state !== "active") continue;
      const { record } = body.checkpoint;
      assert.ok(!committed.has(record.epoch), `epoch ${record.epoch} was committed twice`);
      committed.set(record.epoch, record);
    }
    if (page.length < PAGE) break;
    fromSeq = page.at(-1)!.seq + 1;
  }
  // One line from the first epoch to the head: each names the one before, and none is left aside.
  const line: number[] = [];
  for (let epoch = head; epoch !== 0; epoch = committed.get(epoch)!.parent) {
    assert.ok(committed.has(epoch), `epoch ${epoch} is not in the log`);
    line.unshift(epoch);
  }
  assert.deepEqual(line, [...committed.keys()], "the committed epochs are not one line");
  return committed;
}

/** Times in which one Envoy was down by our own hand: only then may its requests fail. */
export type Outage = readonly [fromMs: number, toMs: number];

/**
 * No request was lost, and each was answered as one committed epoch says: the target that the filter picked by that epoch is the
 * one that answered, and has weight in that epoch's record.
 */
export function assertServed(
  what: string,
  seen: readonly Seen[],
  committed: ReadonlyMap<number, CheckpointRecord>,
  outages: readonly Outage[] = [],
): { steered: number; epochs: number } {
  const failed = seen.filter(
    ({ status, sentMs, doneMs }) => status !== 200 && !outages.some(([from, to]) => doneMs >= from && sentMs <= to),
  );
  assert.deepEqual(
    failed.slice(0, 3).map(({ status, service, error, picked }) => ({ status, service, error, picked })),
    [],
    `${what}: ${failed.length} of ${seen.length} requests failed`,
  );
  const epochs = new Set<number>();
  let steered = 0;
  for (const { service, servedBy, picked, status } of seen) {
    if (status !== 200 || picked === null) continue;
    steered++;
    epochs.add(picked.epoch);
    assert.equal(servedBy, picked.target, `${what}: another target than was picked by epoch ${picked.epoch}`);
    const record = committed.get(picked.epoch);
    assert.ok(record !== undefined, `${what}: steered by epoch ${picked.epoch}, which was never committed`);
    const targets = record.services.find(({ name }) => name === service)?.targets ?? [];
    const target = targets.find(({ name }) => name === servedBy);
    const share = (target?.weightPpm ?? 0) + (target?.stickyPpm ?? 0);
    assert.ok(share > 0, `${what}: ${servedBy} has no share of ${service} in epoch ${picked.epoch}`);
  }
  assert.ok(steered > 0, `${what}: no request was steered`);
  return { steered, epochs: epochs.size };
}
