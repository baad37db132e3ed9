import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { activeCheckpoint, recordSet, testRecord } from "../checkpoint/test-records.ts";
import { restoreTickets } from "./restore-tickets.ts";
import { TICKET_TOPIC, type TicketRules } from "./ticket-log.ts";

const RULES: TicketRules = { fleet: "demo", standard: true, ciOf: () => null, windowMs: 1000, maxLives: 8 };

test("what was written before a snapshot, but not read when it was made, is not lost", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ballast-restore-"));
  const store = SqliteStore.open({ path: join(folder, "s.db") });
  try {
    const commit = async () => {
      const { epoch: parent } = await store.head();
      const epoch = await store.reserve(parent, { holder: "x", term: 0 });
      const set = recordSet(300_000);
      await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set)), set.tables);
      return epoch;
    };
    const history = await restoreTickets(store, RULES);
    assert.deepEqual([history.found, history.throughSeq], [false, 0]);
    await commit();
    const { ledger, throughSeq } = await restoreTickets(store, RULES);
    assert.deepEqual(ledger.lives, [], "it went out before there was a ticket system");

    const unread = await commit();
    const detail = { ledger, throughSeq };
    await store.append({ kind: "note", epoch: null, topic: TICKET_TOPIC.snapshot, detail }, { term: 0 });
    const later = await commit();
    const restored = await restoreTickets(store, RULES);
    assert.deepEqual(restored.found, true);
    assert.deepEqual(
      restored.ledger.lives.map(({ epoch }) => epoch),
      [unread, later],
    );
    assert.equal(restored.throughSeq, (await store.head()).tip.seq);
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
});
