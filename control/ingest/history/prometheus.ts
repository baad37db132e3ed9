import { readFile, stat } from "node:fs/promises";
import { BallastError } from "../../../common/errors.ts";
import { type HistoryBounds, HistoryBuilder, type ImportedHistory, invalid, tooLarge } from "./imported-history.ts";
import { type MatrixSeries, type PrometheusServer, postRange, readAnswer } from "./prometheus-http.ts";

export interface PrometheusOptions extends HistoryBounds, PrometheusServer {
  /**
   * PromQL that gives requests per second, one series per service, for example
   * `sum by (route) (rate(requests_total[$step]))`. `$step` becomes the step, so that each value covers exactly its step.
   */
  query: string;
  /** Label whose value is the service's name. */
  label: string;
  stepMs: number;
  /** The span, rounded inwards to multiples of the step. */
  fromMs: number;
  toMs: number;
  /** Points asked for at once; Prometheus refuses more than 11,000 per series. Default 10,000. */
  maxPoints?: number;
  /** Default 1,000. */
  maxPages?: number;
}

/** Hard limit of Prometheus' range queries (web/api/v1: "exceeded maximum resolution of 11,000 points per timeseries"). */
export const PROMETHEUS_MAX_POINTS = 11_000;
const MAX_NOTES = 20;

/**
 * Loads the span by as many range queries as the limit of points needs, one after another. The value of the step [s, s + step) is the
 * query evaluated at its end, s + step, since PromQL ranges look back. A step without a sample, or with NaN or an infinite one, is a gap
 * that says so. Throws HISTORY_SOURCE_UNREACHABLE, HISTORY_SOURCE_REFUSED, HISTORY_INVALID, HISTORY_TOO_LARGE.
 */
export async function loadPrometheus(options: PrometheusOptions): Promise<ImportedHistory> {
  const { stepMs, label, maxPoints = 10_000, maxPages = 1_000 } = options;
  const query = options.query.replaceAll("$step", `${stepMs}ms`);
  const pages = rangePages(options, Math.min(maxPoints, PROMETHEUS_MAX_POINTS));
  const source = displayUrl(options.url);
  if (pages.length === 0) throw invalid({ file: source }, "the span holds no whole step");
  if (pages.length > maxPages) throw tooLarge({ file: source }, `${pages.length} queries; at most ${maxPages}`);
  const builder = new HistoryBuilder(stepMs, options);
  const notes = new Set<string>();
  for (const page of pages) {
    const { series, warnings } = await postRange(options, {
      query,
      start: seconds(page.firstMs),
      end: seconds(page.lastMs),
      step: seconds(stepMs),
    });
    for (const warning of warnings) if (notes.size < MAX_NOTES) notes.add(warning);
    const named = new Set<string>();
    for (const one of series) {
      const service = serviceOf(one, label, source);
      if (named.has(service))
        throw invalid({ file: source }, `two series have ${label}="${service}"; sum by (${label}) in the query`);
      named.add(service);
      note(builder, service, one, page, stepMs, source);
    }
  }
  const range = { fromMs: pages[0]!.firstMs - stepMs, toMs: pages.at(-1)!.lastMs };
  return builder.close({ source, notes: [...notes] }, "no sample", { range });
}

export interface PrometheusAnswerOptions extends HistoryBounds {
  stepMs: number;
  /** Default `service`, or the only label where each series has one. */
  label?: string;
  /** Default 128 MiB. */
  maxFileBytes?: number;
}

/**
 * Reads answers to range queries that were saved (`{"status":"success","data":{"resultType":"matrix",…}}`), asked with a step of `stepMs`; the
 * sample at s + step is the value of the step [s, s + step), as in `loadPrometheus`. Throws the same errors.
 */
export async function readPrometheusAnswers(
  files: readonly string[],
  { stepMs, label, maxFileBytes = 128 * 2 ** 20, ...bounds }: PrometheusAnswerOptions,
): Promise<ImportedHistory> {
  const builder = new HistoryBuilder(stepMs, bounds);
  const notes = new Set<string>();
  for (const file of files) {
    const { size } = await stat(file).catch((cause: Error) => Promise.reject(invalid({ file }, cause.message, cause)));
    if (size > maxFileBytes) throw tooLarge({ file }, `${size} bytes; at most ${maxFileBytes} are read`);
    const { series, warnings } = readAnswer(file, 200, await readFile(file, "utf8"));
    for (const warning of warnings) if (notes.size < MAX_NOTES) notes.add(warning);
    const own = label ?? onlyLabel(series) ?? "service";
    const named = new Set<string>();
    for (const one of series) {
      const service = serviceOf(one, own, file);
      if (named.has(service))
        throw invalid({ file }, `two series have ${own}="${service}"; sum by (${own}) in the query`);
      named.add(service);
      note(builder, service, one, null, stepMs, file);
    }
  }
  return builder.close({ source: files.join(", "), notes: [...notes] }, "no sample");
}

/** The label that all series have as their only one, beside the metric's name. */
function onlyLabel(series: readonly MatrixSeries[]): string | null {
  const labels = new Set(
    series.map(({ metric }) =>
      Object.keys(metric)
        .filter((key) => key !== "__name__")
        .join(),
    ),
  );
  const [label = ""] = labels;
  return labels.size === 1 && label !== "" && !label.includes(",") ? label : null;
}

/** Times at which one query is evaluated: `firstMs`, `firstMs + step` … `lastMs`. */
export interface RangePage {
  firstMs: number;
  lastMs: number;
}

/** Cuts the steps that lie wholly within the span into pages of at most `maxPoints`. Times are ends of steps, multiples of the step. */
export function rangePages(span: { fromMs: number; toMs: number; stepMs: number }, maxPoints: number): RangePage[] {
  const { stepMs } = span;
  const first = Math.ceil(span.fromMs / stepMs) + 1;
  const last = Math.floor(span.toMs / stepMs);
  const pages: RangePage[] = [];
  for (let from = first; from <= last; from += maxPoints)
    pages.push({ firstMs: from * stepMs, lastMs: Math.min(last, from + maxPoints - 1) * stepMs });
  return pages;
}

function note(
  builder: HistoryBuilder,
  service: string,
  series: MatrixSeries,
  page: RangePage | null,
  stepMs: number,
  source: string,
): void {
  for (const [at, text] of series.values) {
    const ms = Math.round(at * 1000);
    if (page === null && ms % stepMs !== 0)
      throw invalid(
        { file: source },
        `a sample of ${service} at ${at}; expected multiples of ${stepMs / 1000} s: query with that start and step`,
      );
    if (page !== null && (ms < page.firstMs || ms > page.lastMs || ms % stepMs !== 0))
      throw invalid({ file: source }, `a sample of ${service} at ${at}, which was not asked for`);
    const startMs = ms - stepMs;
    const rps = Number(text);
    if (Number.isFinite(rps)) {
      if (rps < 0 || rps >= 1e12)
        throw invalid({ file: source }, `${text} of ${service} at ${at}: expected requests per second, at least 0`);
      builder.set(service, startMs, rps);
    } else builder.missing(service, startMs, `the sample is ${text}`);
  }
}

function serviceOf({ metric }: MatrixSeries, label: string, source: string): string {
  const service = metric[label];
  if (service === undefined || service === "")
    throw invalid(
      { file: source },
      `a series without the label ${label}: {${Object.keys(metric).slice(0, 10).join(", ")}}`,
    );
  return service;
}

/** The address without user, password and query, for messages. */
function displayUrl(text: string): string {
  if (!URL.canParse(text)) throw new BallastError("USAGE", "the address of Prometheus is not a URL");
  const url = new URL(text);
  return `${url.origin}${url.pathname}`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
