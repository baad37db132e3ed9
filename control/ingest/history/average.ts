import { HistoryBuilder, type ImportedHistory } from "./imported-history.ts";

/** Share of a step's readings that there must be for their mean to stand for it. */
const MIN_SHARE = 0.5;

/**
 * The mean of finer readings per step, which for requests per second is the rate of the whole step. A step with fewer than half of its readings
 * is a gap that says so. @param stepMs a multiple of the readings' own step
 */
export function averaged(fine: ImportedHistory, stepMs: number): ImportedHistory {
  const per = stepMs / fine.history.stepMs;
  if (!(Number.isInteger(per) && per >= 1)) throw new Error(`${stepMs} ms are no steps of ${fine.history.stepMs} ms`);
  const builder = new HistoryBuilder(stepMs);
  for (const service of fine.history.services) {
    const { startMs, values } = fine.history.upTo(service, Number.MAX_SAFE_INTEGER);
    const endMs = startMs + values.length * fine.history.stepMs;
    for (let at = Math.floor(startMs / stepMs) * stepMs; at < endMs; at += stepMs) {
      const first = Math.round((at - startMs) / fine.history.stepMs);
      const there = [...values.slice(Math.max(0, first), first + per)].filter((value) => Number.isFinite(value));
      if (there.length >= MIN_SHARE * per)
        builder.set(service, at, there.reduce((sum, value) => sum + value, 0) / there.length);
      else builder.missing(service, at, `${there.length} of ${per} readings`);
    }
  }
  const { source, rejected, notes } = fine;
  return builder.close({ source, rejected, notes }, "no reading");
}
