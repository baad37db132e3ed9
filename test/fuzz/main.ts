import { runCampaigns } from "./run.ts";

// The long run, without the test runner's limit on time: `npm run fuzz:filter [-- inputs [first seed]]`.
const [inputs = "1000000", first = "1"] = process.argv.slice(2);
const startMs = performance.now();
const sent = await runCampaigns(Number(inputs), Number(first));
const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
const seconds = Math.round((performance.now() - startMs) / 1_000);
process.stdout.write(`${total} inputs in ${seconds} s, no harm done: ${JSON.stringify(sent)}\n`);
