import assert from "node:assert/strict";
import { test } from "node:test";
import { Stand } from "../serve/serve.fixture.ts";
import { run } from "./epoch.ts";

test("a store that is behind its fleet pushes nothing until an operator adopts the fleet's epoch, and then goes on above it", async () => {
  const stand = await Stand.start();
  try {
    const first = await stand.until("first weights", (view) => view.epoch > 0 && view.nodes.length > 0);
    // As a node of a fleet whose later epochs this store has lost.
    stand.filter.close();
    const digest = first.setDigest!;
    stand.filter.stagedVersion = `${first.epoch + 40}-${digest}`;
    stand.filter.activeVersion = `${first.epoch + 40}-${digest}`;
    stand.filter.open();
    const behind = await stand.until("it is behind", (view) => view.server.state === "behind");
    assert.match(behind.alarms.join(), /XDS: behind: EPOCH_BEHIND_FLEET/);
    const ready = await stand.call("GET", "/readyz");
    assert.equal(ready.status, 503);
    const change = { author: "ann", reason: "r", services: [{ name: "ledger", mode: "observe" }] };
    const { body } = await stand.call("POST", "/v1/changes", change);
    assert.notEqual(body.state, "active");

    const lines: string[] = [];
    const io = { out: (text: string) => void lines.push(text), err: () => {}, color: false };
    assert.equal(await run(["adopt", "--server", stand.address, "--author", "ann", "--json"], io), 0);
    const { reservedEpoch } = JSON.parse(lines.join()) as { reservedEpoch: number };
    assert.ok(reservedEpoch > first.epoch + 40);
    await stand.until("it serves again", (view) => view.server.state === "serving");
    const rolled = await stand.call("POST", "/v1/kill-switch", { on: true, author: "ann", reason: "a next epoch" });
    assert.ok((rolled.body.epoch as number) > reservedEpoch, JSON.stringify(rolled.body));
    await stand.until("the node uses it", (view) => stand.filter.activeVersion.startsWith(`${view.epoch}-`));
  } finally {
    await stand.stop();
  }
});
