import type { Window, WindowScores } from "./window-backtest.ts";

const WIDTH = 460;
const HEIGHT = 180;
/** Windows drawn at most; more make a page that no browser likes. */
const MAX_WINDOWS = 60;

/** One HTML page without scripts: the table, and each window with the forecast's median and its outer quantiles. */
export function backtestPage(
  title: string,
  rows: readonly WindowScores[],
  shown: WindowScores,
  windows: readonly Window[],
): string {
  const cells = rows.map(
    (row) =>
      `<tr><td>${escapeHtml(row.name)}</td>${[row.mase, ...row.interval, row.wql].map((n) => `<td>${n.toFixed(4)}</td>`).join("")}</tr>`,
  );
  const plots = windows.slice(0, MAX_WINDOWS).map((window, i) => plot(window, shown.forecasts[i]!));
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; --line: #1f6feb; --band: #1f6feb33; --seen: currentColor; }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: right; } td:first-child { text-align: left; }
figure { display: inline-block; margin: .5rem; } svg { width: ${WIDTH}px; max-width: 92vw; border: 1px solid #8885; }
</style>
<h1>${escapeHtml(title)}</h1>
<table><tr><th></th><th>MASE</th><th colspan="2">95 % interval</th><th>wQL</th></tr>${cells.join("")}</table>
<p>Observed in the text colour; median of “${escapeHtml(shown.name)}” as a line, its lowest to highest level as a band. The last steps of the past come first.</p>
${plots.join("\n")}
</html>
`;
}

function plot({ index, past, actual }: Window, quantiles: readonly Float64Array[]): string {
  const before = past.subarray(Math.max(0, past.length - actual.length));
  const low = quantiles[0]!;
  const high = quantiles.at(-1)!;
  const median = quantiles[quantiles.length >> 1]!;
  const all = [...before, ...actual, ...low, ...high].filter(Number.isFinite);
  const least = Math.min(...all);
  const range = Math.max(...all) - least || 1;
  const total = before.length + actual.length;
  const x = (step: number) => ((step / Math.max(1, total - 1)) * WIDTH).toFixed(1);
  const y = (value: number) => (HEIGHT - 8 - ((value - least) / range) * (HEIGHT - 16)).toFixed(1);
  const line = (values: ArrayLike<number>, from: number): string => {
    let path = "";
    let pen = "M";
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(values[i]!)) {
        pen = "M";
        continue;
      }
      path += `${pen}${x(from + i)} ${y(values[i]!)}`;
      pen = "L";
    }
    return path;
  };
  const back = Array.from(low, (_, i) => low.length - 1 - i);
  const band = `${line(high, before.length)}${back.map((i) => `L${x(before.length + i)} ${y(low[i]!)}`).join("")}Z`;
  return `<figure><figcaption>window ${index + 1}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="window ${index + 1}">
<path d="${band}" fill="var(--band)"/><path d="${line([...before, ...actual], 0)}" fill="none" stroke="var(--seen)"/>
<path d="${line(median, before.length)}" fill="none" stroke="var(--line)" stroke-width="2"/></svg></figure>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
