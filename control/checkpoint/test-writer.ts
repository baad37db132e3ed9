/**
 * A process of its own that commits epochs to a store, for the tests that race two of them or kill one:
 * `test-writer.ts PATH HOLDER COUNT` tries COUNT times and prints each epoch that it committed on a line, after the commit.
 */
import { BallastError } from "../../common/errors.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { activeCheckpoint, recordSet, testRecord } from "./test-records.ts";

const [path, holder, count] = process.argv.slice(2);
const store = SqliteStore.open({ path: path! });
for (let i = 0; i < Number(count); i++) {
  try {
    const { epoch: parent } = await store.head();
    const epoch = await store.reserve(parent, { holder: holder!, term: 0 });
    const set = recordSet(100_000 + (i % 8) * 100_000);
    // Gives the other process time to come between.
    await new Promise((resolve) => setTimeout(resolve, i % 3));
    await store.commit(parent, activeCheckpoint(testRecord(epoch, parent, set)), set.tables);
    process.stdout.write(`${epoch}\n`);
  } catch (error) {
    if (!(error instanceof BallastError && error.code === "STORE_CONFLICT")) throw error;
  }
}
await store.close();
