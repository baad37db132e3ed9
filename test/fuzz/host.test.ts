import assert from "node:assert/strict";
import { test } from "node:test";
import { CAMPAIGNS } from "./campaigns.ts";
import { runCampaign, runCampaigns } from "./run.ts";

/** Of the default run; `npm run fuzz:filter` sends more. */
const DEFAULT_INPUTS = 30_000;

test("no bytes from the server, from users, from clients or from shared data trap a VM, hang it or change what it serves", async (t) => {
  const one = /^([a-z-]+):(\d+)$/.exec(process.env.BALLAST_FUZZ ?? "");
  if (one !== null && CAMPAIGNS[one[1]!] !== undefined) return runCampaign(one[1]!, Number(one[2]), 1);
  const sent = await runCampaigns(Number(process.env.BALLAST_FUZZ_INPUTS ?? DEFAULT_INPUTS));
  const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${total} inputs: ${JSON.stringify(sent)}`);
  assert.ok(total > 0);
});
