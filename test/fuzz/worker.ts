import { parentPort, workerData } from "node:worker_threads";
import { CAMPAIGNS, INPUTS_PER_SEED } from "./campaigns.ts";

// One campaign in a thread of its own: an input that never ends is noticed from outside, with its seed.
const { campaign, seeds, first } = workerData as { campaign: string; seeds: number; first: number };
for (let seed = first; seed < first + seeds; seed++) {
  parentPort!.postMessage({ seed });
  CAMPAIGNS[campaign]!(seed, INPUTS_PER_SEED);
}
