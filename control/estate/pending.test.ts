import assert from "node:assert/strict";
import { test } from "node:test";
import { build, change, HOUR_MS, NINE_MS, twoSites, windowsOf, YAML } from "./estate.fixture.ts";

const pendingOf = (records: ReturnType<typeof twoSites>, target: string) =>
  [...build(records).services.values()].flatMap((s) => s.targets).find((t) => t.name === target)!.pending ?? [];

test("a change that waits for approval is pending for the targets above it, takes nothing and is no window", () => {
  const waits = change("CHG1", "db-b", { approval: "requested", state: "authorize" });
  const estate = build(twoSites({ changes: [waits] }));
  assert.deepEqual(windowsOf(estate, "pay-b"), []);
  const [window] = pendingOf(twoSites({ changes: [waits] }), "pay-b");
  assert.deepEqual(
    [window!.ticket, window!.startMs, window!.endMs, window!.remaining],
    ["CHG1", NINE_MS, NINE_MS + 2 * HOUR_MS, 1],
  );
  assert.deepEqual(window!.path, ["app-b", "db-b"]);
  assert.deepEqual(pendingOf(twoSites({ changes: [waits] }), "pay-a"), []);
  assert.notEqual(estate.digest, build(twoSites()).digest);
  assert.equal(estate.tickets[0]!.acts, false);
});

test("what is approved, rejected, on hold, closed or without times is not pending", () => {
  for (const more of [
    {},
    { approval: "rejected" as const },
    { approval: "requested" as const, onHold: true },
    { approval: "requested" as const, state: "closed" as const },
    { approval: "requested" as const, plannedEndMs: NINE_MS },
    { approval: "not requested" as const, state: "new" as const },
  ]) {
    assert.deepEqual(
      pendingOf(twoSites({ changes: [change("CHG1", "db-b", more)] }), "pay-b"),
      [],
      JSON.stringify(more),
    );
  }
});

test("changeRemaining says what an approved change leaves of a target", () => {
  const records = twoSites({ changes: [change("CHG1", "db-b")] });
  assert.equal(windowsOf(build(records), "pay-b")[0]!.remaining, 0);
  const rolling = `${YAML}policy: { changeRemaining: 80% }\n`;
  assert.equal(windowsOf(build(records, rolling), "pay-b")[0]!.remaining, 0.8);
});
