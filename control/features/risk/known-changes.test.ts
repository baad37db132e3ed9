import assert from "node:assert/strict";
import { test } from "node:test";
import { change, HOUR_MS, incident, NINE_MS, ref, twoSites } from "../../estate/estate.fixture.ts";
import type { ChangeRecord, IncidentRecord } from "../../ingest/records.ts";
import { KnownChanges } from "./known-changes.ts";

const LATER_MS = NINE_MS + 72 * HOUR_MS;

function outcome(more: Partial<ChangeRecord>, incidents: IncidentRecord[] = [], atMs = LATER_MS, target = "app-b") {
  const one = change("CHG1", "db-b", { state: "closed", ...more });
  return new KnownChanges(twoSites({ changes: [one], incidents })).outcome(one.sysId, target, atMs);
}

const caused = (on: string, afterMs: number) => {
  const { sysId } = change("CHG1", "db-b");
  return incident("INC1", on, { openedMs: NINE_MS + afterMs, causedBy: ref(sysId) });
};

test("a closed change degraded its target when an incident on the path names it, and kept it otherwise", () => {
  assert.deepEqual(outcome({ closed: "successful" }), { is: "kept", unsuccessful: false });
  assert.deepEqual(outcome({ closed: "unsuccessful" }), { is: "kept", unsuccessful: true });
  assert.deepEqual(outcome({}, [caused("db-b", HOUR_MS)]), { is: "degraded", unsuccessful: false });
  assert.deepEqual(outcome({}, [caused("app-b", HOUR_MS)]).is, "degraded");
  assert.deepEqual(outcome({}, [caused("app-a", HOUR_MS)]).is, "kept", "on another target's path");
  assert.deepEqual(outcome({}, [caused("db-b", 60 * HOUR_MS)]).is, "kept", "long after its end");
});

test("nothing is said before a day has passed, of a change without an end, of one that was cancelled or does not concern the target", () => {
  assert.equal(outcome({}, [], NINE_MS + 20 * HOUR_MS).is, "waiting");
  assert.equal(outcome({ state: "implement" }).is, "waiting");
  assert.equal(outcome({ state: "canceled" }).is, "void");
  assert.equal(outcome({}, [], LATER_MS, "app-a").is, "void");
  assert.equal(outcome({}, [], LATER_MS, "unknown").is, "void");
});
