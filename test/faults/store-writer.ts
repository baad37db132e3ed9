/**
 * A control server's writing life, as a process of its own that can be paused or killed: takes the leader lease, renews it, reserves
 * and commits epochs. `store-writer.ts STORE HOLDER TTL_MS` with STORE as JSON: {"sqlite": PATH} or {"nats": options}.
 * Prints one JSON line for each thing that the store answered, after the answer: {"term"}, {"epoch"}, or {"code"} for a refusal.
 * Loses its term for good when it is fenced, and ends.
 */
import { BallastError } from "../../common/errors.ts";
import { NatsStore } from "../../control/checkpoint/nats/nats-store.ts";
import { SqliteStore } from "../../control/checkpoint/sqlite-store.ts";
import { LEADER_LEASE } from "../../control/checkpoint/store.ts";
import { activeCheckpoint, recordSet, testRecord } from "../../control/checkpoint/test-records.ts";

const [storeText, holder, ttlText] = process.argv.slice(2) as [string, string, string];
const ttlMs = Number(ttlText);
const where = JSON.parse(storeText) as { sqlite: string } | { nats: Parameters<typeof NatsStore.open>[0] };
const store = "sqlite" in where ? SqliteStore.open({ path: where.sqlite }) : await NatsStore.open(where.nats);
const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);

const lease = await store.lease(LEADER_LEASE, { holder, ttlMs });
if (!lease.granted) throw new Error(`${lease.holder} has the lease`);
const { token } = lease;
say({ term: token });
for (let i = 0; ; i++) {
  try {
    // Renewed seldom, as a server does: most writes rely on a lease that was confirmed a while ago.
    if (i % 10 === 9) {
      const renewed = await store.lease(LEADER_LEASE, { holder, ttlMs, token });
      if (!renewed.granted) throw new BallastError("STORE_FENCED", `${renewed.holder} has the lease`);
    }
    const { epoch: parent } = await store.head();
    const epoch = await store.reserve(parent, { holder, term: token });
    const set = recordSet(100_000 + (i % 8) * 100_000);
    await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set, token)), set.tables);
    say({ epoch });
  } catch (error) {
    if (!(error instanceof BallastError)) throw error;
    say({ code: error.code });
    if (error.code === "STORE_FENCED") break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
await store.close();
