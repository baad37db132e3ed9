import { formatTable } from "../lib/table.ts";
import type { Deviation } from "./deviation.ts";
import { type Push, SLOTS } from "./weights.ts";

export interface SplitRow {
  name: string;
  what: string;
  deviations: Deviation[];
}

export interface MoveFigure {
  name: string;
  push: string;
  sessions: number;
  moved: number;
  /** Sessions that must move by the weights: their total variation distance. */
  leastByWeights: number;
  /** Sessions that must have moved by the counts seen before and after. */
  leastSeen: number;
}

export function splitReport(results: {
  rows: readonly SplitRow[];
  moves: readonly MoveFigure[];
  pushes: readonly Push[];
  base: Push;
  away: number | undefined;
  plan: { picks: number; sessions: number; lengths: readonly number[] };
  missing: string | undefined;
  versions: string;
}): string {
  const { rows, moves, plan, base, away } = results;
  const names = [...new Set(moves.map((move) => move.name))];
  return [
    results.versions,
    `One worker, eight targets with ${base.weights.join(", ")} of ${SLOTS} slots, every pick seen in the answer of its upstream. Without sessions: ${plan.picks} picks one at a time; with: ${plan.sessions} sessions, one request each.`,
    "### Deviation from quota",
    `The largest distance over the targets, in requests, between what N requests in a row brought and N times the share; mean and worst over up to 2,000 windows along the picks. Rows with one session per request have ${plan.sessions} picks, so longer windows are empty there: a session's target is a matter of its hash alone, and more of them only show chance.`,
    formatTable(
      ["row", ...plan.lengths.flatMap((length) => [`mean ${short(length)}`, `worst ${short(length)}`]), "what"],
      rows.map((row) => [
        row.name,
        ...plan.lengths.flatMap((length) => {
          const found = row.deviations.find(({ picks }) => picks === length);
          return found === undefined ? ["", ""] : [found.mean.toFixed(2), found.worst.toFixed(2)];
        }),
        row.what,
      ]),
    ),
    "### Sessions moved by one push",
    `Pushes: ${results.pushes.map((push) => `\`${push.name}\` ${push.what}`).join("; ")}. Share of sessions that changed target, and that as a multiple of what the change of the weights alone requires (in brackets: of what the counts seen require; exact where the other carries the luck of which sessions exist).`,
    formatTable(
      ["row", ...results.pushes.map((push) => push.name)],
      names.map((name) => [
        name,
        ...results.pushes.map((push) => {
          const move = moves.find((candidate) => candidate.name === name && candidate.push === push.name);
          if (move === undefined) return "";
          const share = ((100 * move.moved) / move.sessions).toFixed(2);
          return `${share} % = ${(move.moved / move.leastByWeights).toFixed(2)} × (${(move.moved / Math.max(1, move.leastSeen)).toFixed(2)})`;
        }),
      ]),
    ),
    away === undefined ? "" : `Ballast after each push and its return in four steps: ${away} sessions away from home.`,
    results.missing === undefined ? "" : `Not measured: \`ballast\` (${results.missing}).`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function short(length: number): string {
  return length >= 1000 ? `${length / 1000}k` : String(length);
}
