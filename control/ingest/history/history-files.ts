import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { csvCells } from "../csv-cells.ts";
import { LoadHistory } from "../load-history.ts";
import { mostFrequent } from "../most-frequent.ts";
import { readAccessLogs } from "./access-log.ts";
import { readHistoryCsv } from "./csv.ts";
import { invalid } from "./imported-history.ts";
import { readHistoryParquet } from "./parquet.ts";
import { readPrometheusAnswers } from "./prometheus.ts";

export type HistoryForm = "wide" | "long" | "parquet" | "prometheus" | "access-log";

/** Enough for a header of a thousand services. */
const HEAD_BYTES = 65_536;

/**
 * Past load from files of whatever form, told apart by how they begin: CSV wide or long, Parquet, saved answers of Prometheus, access logs
 * (JSON with routes; also .gz). Access logs count together, and so do saved answers; no service may be in two others. `notes` are for people.
 * Throws HISTORY_INVALID, HISTORY_TOO_LARGE, HISTORY_SOURCE_REFUSED.
 */
export async function readHistoryFiles(
  files: readonly string[],
  stepMs: number,
): Promise<{ history: LoadHistory; notes: string[] }> {
  const forms = await Promise.all(files.map(formOf));
  const of = (wanted: HistoryForm): string[] => files.filter((_, i) => forms[i] === wanted);
  const notes: string[] = [];
  const parts: { name: string; history: LoadHistory }[] = [];
  for (const file of [...of("wide"), ...of("long")])
    parts.push({ name: file, history: (await readHistoryCsv(file, { stepMs })).history });
  for (const file of of("parquet"))
    parts.push({ name: file, history: (await readHistoryParquet(file, { stepMs })).history });
  const [answers, logs] = [of("prometheus"), of("access-log")];
  for (const read of [
    answers.length > 0 ? await readPrometheusAnswers(answers, { stepMs }) : null,
    logs.length > 0 ? await readAccessLogs(logs, { stepMs, by: "route" }) : null,
  ]) {
    if (read === null) continue;
    parts.push({ name: read.source, history: read.history });
    notes.push(...read.notes);
    if (read.rejected.count > 0)
      notes.push(`${read.rejected.count} lines of ${read.source} were left out as malformed`);
  }
  const history = together(parts, stepMs);
  for (const service of history.services) refuseSparse(history, service, stepMs);
  return { history, notes };
}

/** All services in one history that keeps every step of each, however far apart they lie. */
function together(parts: readonly { name: string; history: LoadHistory }[], stepMs: number): LoadHistory {
  const [only, ...more] = parts;
  if (more.length === 0) return only!.history;
  const whole = new LoadHistory({ stepMs, maxSteps: Math.max(...parts.map(({ history }) => history.maxSteps)) });
  for (const { name, history } of parts)
    for (const service of history.services) {
      if (whole.services.includes(service))
        throw invalid({ file: name }, `has service ${service}, which an earlier file has too`);
      const { startMs, values } = history.upTo(service, Number.MAX_SAFE_INTEGER);
      for (const [step, value] of values.entries()) whole.append(service, startMs + step * stepMs, value);
    }
  return whole;
}

/** What a file holds, by its name or its first line. */
export async function formOf(file: string): Promise<HistoryForm> {
  const stats = await stat(file).catch((cause: Error) => Promise.reject(invalid({ file }, cause.message, cause)));
  if (!stats.isFile()) throw invalid({ file }, "is no file");
  if (file.endsWith(".parquet")) return "parquet";
  if (file.endsWith(".gz")) return "access-log";
  let head = "";
  for await (const chunk of createReadStream(file, { encoding: "utf8", end: HEAD_BYTES - 1 })) head += chunk;
  head = head.replace(/^\ufeff/, "").trimStart();
  if (/^\{\s*("status"\s*:\s*"(success|error)"|"data"\s*:\s*\{)/.test(head)) return "prometheus";
  if (head.startsWith("{") || head.startsWith("[")) return "access-log";
  const names = csvCells(head.split(/\r?\n/, 1)[0]!, ",").map((name) => name.trim());
  return names.includes("service") && names.includes("rps") ? "long" : "wide";
}

/** Rows that are mostly further apart than a step would make a history of gaps, filled with what is not known. */
function refuseSparse(history: LoadHistory, service: string, stepMs: number): void {
  const { values } = history.upTo(service, Number.MAX_SAFE_INTEGER);
  const distances: number[] = [];
  let last = -1;
  for (const [step, value] of values.entries()) {
    if (!Number.isFinite(value)) continue;
    if (last >= 0) distances.push(step - last);
    last = step;
  }
  const usual = mostFrequent(distances)?.value ?? 1;
  if (usual > 1)
    throw invalid(
      { file: service },
      `most readings are ${(usual * stepMs) / 60_000} minutes apart; expected one every ${stepMs / 60_000} minutes`,
    );
}
