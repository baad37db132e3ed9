import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { readModel } from "../demand-manifest.ts";
import { WorkerSession } from "./worker-session.ts";

const { bytes } = await readModel(resolve("models/committed/demand"));
/** Some tenths of a second: a limit of a hundredth strikes inside of the runtime's call, not before and not behind it. */
const MANY_ROWS = 100_000;
const LIMIT_MS = 10;

function open(timeoutMs: number): Promise<WorkerSession<{ bytes: Uint8Array }, number, number>> {
  return WorkerSession.open({
    input: { bytes },
    loadTimeoutMs: 30_000,
    timeoutMs,
    workerMemoryMb: 128,
    workerUrl: new URL("./long-call-worker.fixture.ts", import.meta.url),
  });
}

test("a call of the runtime that takes too long costs its answer and not the process", {
  timeout: 60_000,
}, async () => {
  const slow = await open(LIMIT_MS);
  await assert.rejects(slow.run(MANY_ROWS, []), /no answer from the model within 10 ms/);
  assert.equal(slow.alive, false);
  const next = await open(60_000);
  assert.equal(await next.run(MANY_ROWS, []), MANY_ROWS);
  next.close();
});

test("a session that is closed in the middle of a call leaves the process alive too", { timeout: 60_000 }, async () => {
  const session = await open(60_000);
  const asked = session.run(MANY_ROWS, []);
  setTimeout(() => session.close(), LIMIT_MS);
  await assert.rejects(asked, /the session was closed/);
});

test("few calls that took too long run on beside each other, and one that returns makes room", {
  timeout: 60_000,
}, async () => {
  const opened = (): Promise<WorkerSession<{ bytes: Uint8Array }, number, number> | null> =>
    open(LIMIT_MS).catch((error: Error) => {
      assert.match(error.message, /calls that took too long have not returned yet/);
      return null;
    });
  for (let started = 0; ; started++) {
    const session = await opened();
    if (session === null) break;
    assert.ok(started < 100, "none was ever refused");
    await assert.rejects(session.run(3 * MANY_ROWS, []), /no answer from the model/);
  }
  for (;;) {
    const session = await opened();
    if (session !== null) return session.close();
    await new Promise((done) => setTimeout(done, 20));
  }
});
