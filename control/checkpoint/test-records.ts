import { digestHex } from "../../common/xxh64.ts";
import { buildTable } from "../table/build.ts";
import { makeSet } from "../table/set.ts";
import type { TableSet } from "../table/table.ts";
import { type Checkpoint, draft, move } from "./moves.ts";
import { type CheckpointRecord, tableRefs } from "./record.ts";

/** Real sets and checkpoints for tests. */
export function recordSet(ppm: number): TableSet {
  const target = (name: string, share: number) => ({
    name,
    basePpm: share,
    weightPpm: share,
    stickyPpm: share,
    draining: false,
  });
  const targets = [target("pay-a", ppm), target("pay-b", 1_000_000 - ppm)];
  return makeSet([buildTable({ service: "payments", observe: false, slots: 256, targets, previous: null }).encoded]);
}

export function testRecord(epoch: number, parent: number, set: TableSet, term = 0): CheckpointRecord {
  return {
    schema: 1,
    fleet: "demo",
    epoch,
    parent,
    term,
    plannedAtMs: 1_772_431_500_000,
    createdAtMs: 1_790_000_000_000,
    author: { kind: "planner", name: "test" },
    trigger: "schedule",
    why: "CHG0031007 on pay-db-b",
    changeType: "standard",
    mode: "steer",
    setDigest: digestHex(set.digest),
    tables: tableRefs(set),
    services: [],
    slotsMoved: 0,
    slotsMinMoved: 0,
    quantisationPpm: 0,
  };
}

export function approvedCheckpoint(record: CheckpointRecord): Checkpoint<"approved"> {
  const validated = move(draft(record), "validate", { verdicts: [{ rule: "step", ok: true, text: "10 % ≤ 20 %" }] }, 1);
  const by = { kind: "rule", name: "standard" } as const;
  return move(validated, "approve", { approval: { kind: "rule", by, atMs: 2 } }, 2);
}

export function activeCheckpoint(record: CheckpointRecord): Checkpoint<"active"> {
  const round = {
    result: "proved",
    reason: "",
    tookMs: 3,
    firstAckMs: 3,
    lastAckMs: 3,
    asked: 1,
    acks: 1,
    nodes: [],
    omitted: 0,
  };
  const staged = move(approvedCheckpoint(record), "stage", { round }, 3);
  return move(staged, "commit", { by: { kind: "planner", name: "test" } }, 4);
}
