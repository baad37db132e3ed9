import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { CAMPAIGNS, INPUTS_PER_SEED, SHARES } from "./campaigns.ts";

/** A seed takes a tenth of a second; what takes so long on a busy machine does not end. */
const HANG_MS = 120_000;

/** About `inputs` inputs over all campaigns, in turn. Returns how many each got. Throws with the seed that failed. */
export async function runCampaigns(inputs: number, first = 1): Promise<Record<string, number>> {
  const sent: Record<string, number> = {};
  for (const campaign of Object.keys(CAMPAIGNS)) {
    const seeds = Math.ceil((inputs * SHARES[campaign]!) / INPUTS_PER_SEED);
    await runCampaign(campaign, first, seeds);
    sent[campaign] = seeds * INPUTS_PER_SEED;
  }
  return sent;
}

export function runCampaign(campaign: string, first: number, seeds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(join(import.meta.dirname, "worker.ts"), { workerData: { campaign, seeds, first } });
    let seed = first;
    const fail = (cause: unknown): void => {
      clearTimeout(watchdog);
      reject(new Error(`${campaign}: seed ${seed} failed; BALLAST_FUZZ=${campaign}:${seed} repeats it`, { cause }));
    };
    let watchdog = setTimeout(() => {}, 0);
    const watch = (): void => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => {
        fail(new Error(`no end after ${HANG_MS} ms`));
        void worker.terminate();
      }, HANG_MS);
    };
    watch();
    worker.on("message", (message: { seed: number }) => {
      seed = message.seed;
      watch();
    });
    worker.on("error", fail);
    worker.on("exit", (code) => {
      clearTimeout(watchdog);
      if (code === 0) resolve();
      else fail(new Error(`the thread ended with ${code}`));
    });
  });
}
