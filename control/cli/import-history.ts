import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { averaged } from "../ingest/history/average.ts";
import type { ImportedHistory, ServiceProvenance } from "../ingest/history/imported-history.ts";
import { timeMs } from "../ingest/history/time.ts";
import { writeHistoryCsv } from "../ingest/history/write-csv.ts";
import type { Command, Io } from "./io.ts";

const AUTHORIZATION = "BALLAST_PROMETHEUS_AUTHORIZATION";
const USAGE = `usage: ballast import-history --from prometheus|access-log|csv|parquet --out CSV [flags]

Turns past load from what you have into the CSV file that history.csv of ballast.yaml names, and says where readings are missing and why.
--out CSV       the file to write; --force replaces one that is there
--step D        length of a step, such as 30s, 5m (default) or 1h; history.step of ballast.yaml must be the same
--json          print the account as JSON

prometheus      --url URL --query PROMQL --since TIME --until TIME [--label NAME]
                The query gives requests per second, one series per service: sum by (service) (rate(requests_total[$step])).
                $step becomes the step; --label (default service) is the label that names the service. The environment variable
                ${AUTHORIZATION} is sent as the Authorization header.
                Or --file FILE… [--label NAME]: answers to such queries that were saved.
access-log      --file FILE… --by route|authority [--service NAME…] [--time-field KEY] [--service-field KEY]
                JSON lines or Envoy's default text format (which has no route: --by authority), also .gz. Name the services when
                counting by authority: clients choose it.
csv             --file FILE   time,service,rps or time,SERVICE,…
parquet         --file FILE   the same two forms
                --readings D  both: distance of the readings in the file where it is shorter than --step, such as 1m; each step gets their mean
docs/reference/history.md has the details.`;

/** Gaps printed per service; --json has all that are kept. */
const SHOWN_GAPS = 3;

export const run: Command = async (args, io) => {
  const text = { type: "string" } as const;
  const many = { type: "string", multiple: true } as const;
  const { values } = parseArgs({
    args,
    options: {
      from: text,
      out: text,
      step: { type: "string", default: "5m" },
      force: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      url: text,
      query: text,
      label: text,
      readings: text,
      since: text,
      until: text,
      file: many,
      by: { type: "string", default: "route" },
      service: many,
      "time-field": text,
      "service-field": text,
      // Every command takes it; this one reads no configuration.
      config: text,
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const out = needed(values.out, "--out");
  if (existsSync(out) && !values.force) throw usage(`${out} is there already; --force replaces it`);
  const stepMs = stepOf(values.step, "--step");
  const readingsMs = values.readings === undefined ? stepMs : stepOf(values.readings, "--readings");
  if (stepMs % readingsMs !== 0) throw usage(`--readings ${values.readings}: expected a part of --step ${values.step}`);
  const imported = await load();
  const { rows } = await writeHistoryCsv(out, imported.history);
  if (values.json) {
    const { history, ...account } = imported;
    io.out(JSON.stringify({ out, rows, stepMs: history.stepMs, ...account }));
  } else print(io, imported, out, rows);
  return 0;

  async function load(): Promise<ImportedHistory> {
    switch (values.from) {
      case "prometheus": {
        const { loadPrometheus, readPrometheusAnswers } = await import("../ingest/history/prometheus.ts");
        const { label = "service" } = values;
        if (values.file !== undefined)
          return readPrometheusAnswers(values.file, { stepMs, ...(values.label === undefined ? {} : { label }) });
        const authorization = process.env[AUTHORIZATION];
        return loadPrometheus({
          url: needed(values.url, "--url"),
          query: needed(values.query, "--query"),
          label,
          stepMs,
          fromMs: timeOf(values.since, "--since"),
          toMs: timeOf(values.until, "--until"),
          ...(authorization === undefined ? {} : { authorization }),
        });
      }
      case "access-log": {
        const { readAccessLogs } = await import("../ingest/history/access-log.ts");
        const { by } = values;
        if (by !== "route" && by !== "authority") throw usage("--by must be route or authority");
        const timeField = values["time-field"];
        const serviceField = values["service-field"];
        return readAccessLogs(files(), {
          by,
          stepMs,
          ...(values.service === undefined ? {} : { services: values.service }),
          ...(timeField === undefined ? {} : { timeField }),
          ...(serviceField === undefined ? {} : { serviceField }),
        });
      }
      case "csv": {
        const { readHistoryCsv } = await import("../ingest/history/csv.ts");
        return inSteps(await readHistoryCsv(oneFile(), { stepMs: readingsMs }));
      }
      case "parquet": {
        const { readHistoryParquet } = await import("../ingest/history/parquet.ts");
        return inSteps(await readHistoryParquet(oneFile(), { stepMs: readingsMs }));
      }
      default:
        throw usage("--from must be prometheus, access-log, csv or parquet");
    }
  }

  function inSteps(read: ImportedHistory): ImportedHistory {
    return readingsMs === stepMs ? read : averaged(read, stepMs);
  }

  function files(): string[] {
    if (values.file === undefined) throw usage("--file is missing");
    return values.file;
  }

  function oneFile(): string {
    const [file, ...more] = files();
    if (more.length > 0) throw usage(`--from ${values.from} takes one --file`);
    return file!;
  }
};

function print(io: Io, imported: ImportedHistory, out: string, rows: number): void {
  const { services, rejected, notes } = imported;
  io.out(`${out}: ${rows} steps of ${imported.history.stepMs / 1000} s, ${services.length} services`);
  for (const account of services) {
    io.out(`  ${account.service}: ${account.observed} with a reading, ${account.missing} without`);
    for (const gap of account.gaps.slice(0, SHOWN_GAPS))
      io.out(`    ${iso(gap.fromMs)} to ${iso(gap.toMs)}: ${gap.reason}`);
    const more = moreGaps(account);
    if (more > 0) io.out(`    and ${more} more gaps`);
  }
  for (const note of notes) io.err(`note: ${note}`);
  if (rejected.count > 0) io.err(`${rejected.count} lines were left out as malformed:`);
  for (const { file, line, reason } of rejected.first) io.err(`  ${file}:${line}: ${reason}`);
}

function moreGaps({ gaps, gapsLeftOff }: ServiceProvenance): number {
  return Math.max(0, gaps.length - SHOWN_GAPS) + gapsLeftOff;
}

function stepOf(text: string, flag: string): number {
  const match = /^(\d{1,6})(s|m|h)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as "s" | "m" | "h"];
  if (!(ms > 0 && ms <= 86_400_000)) throw usage(`${flag} ${text}: expected 1s to 24h, such as 30s, 5m or 1h`);
  return ms;
}

function timeOf(text: string | undefined, flag: string): number {
  const ms = timeMs(needed(text, flag));
  if (Number.isNaN(ms)) throw usage(`${flag} ${text}: expected a time with its zone such as 2026-03-02T06:05:00Z`);
  return ms;
}

function needed(value: string | undefined, flag: string): string {
  if (value === undefined || value === "") throw usage(`${flag} is missing`);
  return value;
}

function usage(what: string): BallastError {
  return new BallastError("USAGE", what, { hint: "Run `ballast import-history --help`." });
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
