import type { Window, WindowScores } from "./window-backtest.ts";

const WIDTH = 460;
const HEIGHT = 180;
/** Windows drawn at most; more make a page that no browser likes. */
const MAX_WINDOWS = 60;
const MARGIN = 8;
/** Steps shown before a window at least: a horizon of one step would otherwise stand alone. */
const MIN_BEFORE = 24;

export interface PageContent {
  title: string;
  /** Sentences above the table. */
  facts: readonly string[];
  rows: readonly WindowScores[];
  /** The row that answers, one of `rows`. */
  shown: WindowScores;
  windows: readonly Window[];
  /** When a step of the series was, as text; null where its rows have numbers only. */
  timeOf: ((step: number) => string) | null;
}

/** One HTML page without scripts: the table, and each window with the forecast's median, its outer quantiles and seasonal naive. */
export function backtestPage({ title, facts, rows, shown, windows, timeOf }: PageContent): string {
  const cells = rows.map((row) => {
    const band = row.coverage.at(-1)! - row.coverage[0]!;
    const shares = [`${(100 * band).toFixed(0)} %`, ...[row.provision.under, row.provision.over].map(percent)];
    const numbers = [row.mase, ...row.interval, row.wql].map((n) => n.toFixed(4));
    const columns = [...numbers, ...shares].map((cell) => `<td>${cell}</td>`).join("");
    return `<tr${row === shown ? ' class="shown"' : ""}><td>${escapeHtml(row.name)}</td>${columns}</tr>`;
  });
  const reference = rows.find((row) => row.name === "seasonal naive" && row !== shown);
  const plots = windows.slice(0, MAX_WINDOWS).map((window, i) => {
    const { mase } = shown.single[i]!;
    const first = window.past.length;
    const when = timeOf === null ? "" : `, ${timeOf(first)} … ${timeOf(first + window.actual.length - 1)}`;
    const caption = `window ${window.index + 1}${when}${Number.isFinite(mase) ? `, MASE ${mase.toFixed(3)}` : ""}`;
    return plot(window, shown.forecasts[i]!, caption, reference?.forecasts[i]);
  });
  const left = windows.length - plots.length;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; --line: #1f6feb; --band: #1f6feb33; --seen: currentColor; }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }
.wide { overflow-x: auto; } p { max-width: 75ch; } table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: right; } td:first-child { text-align: left; }
tr.shown { font-weight: 600; } text { font-size: 11px; fill: currentColor; opacity: .7; } .other { opacity: .6; stroke-dasharray: 4 3; }
.key { display: inline-block; width: 1.6em; border-top: 2px solid; vertical-align: middle; } .key.band { border-top: .8em solid var(--band); }
figure { display: inline-block; margin: .5rem; } path { stroke-linecap: round; } svg { width: ${WIDTH}px; max-width: 92vw; border: 1px solid #8885; }
</style>
<h1>${escapeHtml(title)}</h1>
${facts.map((fact) => `<p>${escapeHtml(fact)}</p>`).join("\n")}
<div class="wide"><table><tr><th></th><th>MASE</th><th colspan="2">95 % interval</th><th>wQL</th><th>in band</th><th>under</th><th>over</th></tr>${cells.join("")}</table></div>
<p>MASE 1 errs as much as the value a season before did on the past. In band: how much lay between the lowest and the highest level. Under, over: what came above a plan for the
highest level, and what it held that did not come, of all that came.</p>
<p><span class="key"></span> observed, its last steps before the window first
<span class="key" style="border-color: var(--line)"></span> median of “${escapeHtml(shown.name)}”, who answers
<span class="key band"></span> its lowest to highest level
${reference === undefined ? "" : '<span class="key" style="border-top-style: dashed; opacity: .6"></span> seasonal naive'}</p>
${plots.join("\n")}
${left > 0 ? `<p>${left} more windows are in the table, not drawn.</p>` : ""}
</html>
`;
}

function plot(
  { past, actual }: Window,
  quantiles: readonly Float64Array[],
  caption: string,
  reference: readonly Float64Array[] | undefined,
): string {
  const before = past.subarray(Math.max(0, past.length - Math.max(MIN_BEFORE, actual.length)));
  const low = quantiles[0]!;
  const high = quantiles.at(-1)!;
  const median = quantiles[quantiles.length >> 1]!;
  const other = reference?.[reference.length >> 1];
  const all = [...before, ...actual, ...low, ...high, ...(other ?? [])].filter(Number.isFinite);
  const least = all.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = all.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const range = most - least || 1;
  const total = before.length + actual.length;
  const x = (step: number) => ((step / Math.max(1, total - 1)) * WIDTH).toFixed(1);
  const y = (value: number) => (HEIGHT - MARGIN - ((value - least) / range) * (HEIGHT - 2 * MARGIN)).toFixed(1);
  const line = (values: ArrayLike<number>, from: number): string => {
    let path = "";
    let pen = "M";
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(values[i]!)) {
        pen = "M";
        continue;
      }
      path += `${pen}${x(from + i)} ${y(values[i]!)}`;
      // A point without neighbours is drawn as a dot by its round ends.
      if (pen === "M" && !Number.isFinite(values[i + 1] ?? Number.NaN)) path += "h0";
      pen = "L";
    }
    return path;
  };
  const back = Array.from(low, (_, i) => low.length - 1 - i);
  const band = `${line(high, before.length)}${back.map((i) => `L${x(before.length + i)} ${y(low[i]!)}`).join("")}Z`;
  const dashed =
    other === undefined
      ? ""
      : `<path class="other" d="${line(other, before.length)}" fill="none" stroke="var(--seen)"/>`;
  const edge = x(before.length);
  const scale = `<text x="3" y="12">${short(most)}</text><text x="3" y="${HEIGHT - 3}">${short(least)}</text>`;
  return `<figure><figcaption>${escapeHtml(caption)}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(caption)}">
<path d="M${edge} 0V${HEIGHT}" stroke="#8886"/><path d="${band}" fill="var(--band)" stroke="var(--band)"/>${dashed}<path d="${line([...before, ...actual], 0)}" fill="none" stroke="var(--seen)"/>
<path d="${line(median, before.length)}" fill="none" stroke="var(--line)" stroke-width="2"/>${scale}</svg></figure>`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function short(value: number): string {
  return Number(value.toPrecision(4)).toString();
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
