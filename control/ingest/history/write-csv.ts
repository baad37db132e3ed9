import { open, rename, rm } from "node:fs/promises";
import type { LoadHistory } from "../load-history.ts";
import { invalid } from "./imported-history.ts";

/** Lines held before they are written. */
const BATCH_LINES = 4_096;
/** A millionth of a request per second is below any reading. */
const DECIMALS = 6;

/**
 * Writes the wide form `time,SERVICE,…` that history.csv of ballast.yaml names: times in UTC, an empty cell where there is no reading. The
 * file appears whole or not at all. Throws HISTORY_INVALID for names that the form cannot carry, and
 * where the file cannot be made.
 */
export async function writeHistoryCsv(file: string, history: LoadHistory): Promise<{ rows: number }> {
  const { services, stepMs } = history;
  const bad = services.find((name) => name === "time" || name !== name.trim() || /[",\r\n]/.test(name));
  if (bad !== undefined) throw invalid({ file }, `the service ${JSON.stringify(bad)} cannot be a column's name`);
  const spans = services.map((service) => history.span(service)!);
  const fromMs = Math.min(...spans.map((span) => span.startMs));
  const toMs = Math.max(...spans.map((span) => span.endMs));
  const columns = services.map((service) => history.upTo(service, toMs));
  const part = `${file}.part-${process.pid}`;
  const handle = await open(part, "w").catch((cause: Error) => Promise.reject(invalid({ file }, cause.message, cause)));
  let rows = 0;
  try {
    let batch = [`time,${services.join(",")}`];
    for (let atMs = fromMs; atMs < toMs; atMs += stepMs) {
      const cells = columns.map(({ startMs, values }) => cellOf(values[(atMs - startMs) / stepMs]));
      batch.push(`${new Date(atMs).toISOString().replace(".000Z", "Z")},${cells.join(",")}`);
      rows++;
      if (batch.length >= BATCH_LINES) {
        await handle.appendFile(`${batch.join("\n")}\n`);
        batch = [];
      }
    }
    if (batch.length > 0) await handle.appendFile(`${batch.join("\n")}\n`);
    await handle.sync();
    await handle.close();
    await rename(part, file);
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(part, { force: true });
    throw error;
  }
  return { rows };
}

function cellOf(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "" : String(Number(value.toFixed(DECIMALS)));
}
