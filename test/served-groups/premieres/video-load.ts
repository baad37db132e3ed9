import { LocalClock } from "../../../control/features/groups/local-time.ts";
import { SeededRandom } from "../../../control/features/seeded-random.ts";
import type { SignalRow } from "../../../control/ingest/covariates/dated-csv.ts";

const STEP_MS = 300_000;
export const FIRST_MS = Date.UTC(2016, 3, 18);
/** Requests per second that a million viewers cause at the start of an episode. */
const PER_MILLION = 30;

/**
 * A seeded load of a video service in the spring of 2016, `time,video`: an evening peak every day, and on the nights of an episode what its
 * viewers add. The numbers of viewers are the published ones, what they do to the load is made up.
 */
export function videoLoadCsv(signals: readonly SignalRow[], untilMs: number): string {
  const random = new SeededRandom(29);
  const clock = new LocalClock("America/New_York");
  const episodes = signals.filter(({ signal }) => signal === "viewers");
  const rows = ["time,video"];
  let wander = 0;
  for (let ms = FIRST_MS; ms < untilMs; ms += STEP_MS) {
    wander = 0.98 * wander + 0.01 * random.normal();
    const { hour } = clock.at(ms);
    const evening = Math.exp(-(((((hour - 20.5 + 36) % 24) - 12) / 3.5) ** 2));
    const usual = 60 + 120 * evening;
    let extra = 0;
    for (const { startMs, value } of episodes) {
      const hours = (ms - startMs) / 3_600_000 - 0.5;
      // A row begins half an hour before the episode does, when they come.
      if (hours > -0.5 && hours < 2.5)
        extra += PER_MILLION * value * (hours < 0 ? 2 * (hours + 0.5) : Math.exp(-1.2 * hours));
    }
    const rps = (usual + extra) * Math.exp(wander + 0.02 * random.normal());
    rows.push(`${new Date(ms).toISOString().replace(".000Z", "Z")},${rps.toFixed(1)}`);
  }
  return `${rows.join("\n")}\n`;
}
