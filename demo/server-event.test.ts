import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServerEvent, stickyOwners } from "./server-event.ts";

test("an event is read, and log lines, other JSON and events of a newer server are passed over", () => {
  assert.deepEqual(parseServerEvent('{"event":"ready"}'), { event: "ready" });
  for (const line of ["", "listening on 18000", "null", "[]", '{"level":30}', '{"event":"later"}']) {
    assert.equal(parseServerEvent(line), null, line);
  }
});

test("the owner of each slot is named", () => {
  const owners = Buffer.from([0, 1, 1, 0]).toString("base64");
  assert.deepEqual(stickyOwners({ owners, targets: ["a", "b"] }), ["a", "b", "b", "a"]);
  assert.throws(() => stickyOwners({ owners, targets: ["a"] }), /target 1 of 1/);
});
