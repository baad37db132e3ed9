import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_GROUPS, isOnByDefault, type Worth } from "../../control/features/groups/choose-groups.ts";
import { GROUPS } from "../../control/features/groups/grouped-inputs.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { dataFolder } from "../forecast/gift-eval.ts";
import { ROOT } from "../lib/native-build.ts";
import { writeResults } from "../lib/results.ts";
import { scratchFolder } from "../lib/scratch.ts";
import { formatTable } from "../lib/table.ts";
import type { BenchOptions } from "../main.ts";
import type { Case } from "./case.ts";
import { accessLog, demoEstate, loadBalancer, onlineBoutique, petShop, worldCup } from "./found.ts";
import { FULL, type Measured, measure, QUICK } from "./measure.ts";
import { basketWorld, changeWorld, couplingWorld, crowdWorld, holidayWorld, premiereWorld } from "./worlds.ts";

const QUICK_BASKET_DAYS = 6;

type Row = Measured & { one: Case };

/**
 * What each feature group is worth: the tree half with the group against the same without it, on seeded worlds whose effect is known and on
 * found data. --quick: one world per group, coarser. Words pick cases by part of their name. A full run rewrites worth.json, from which
 * the default list follows.
 */
export async function run({ quick, words }: BenchOptions): Promise<object> {
  const progress = (text: string) => void process.stderr.write(`${text}\n`);
  const python = await makePythonEnvironment(join(ROOT, ".ballast/venv"), progress);
  const data = dataFolder();
  // Every visit is read anew for each origin that is asked twice, so days of baskets are what takes longest.
  const baskets = quick ? basketWorld(QUICK_BASKET_DAYS) : basketWorld();
  const worlds = [holidayWorld(), couplingWorld(), changeWorld(), crowdWorld(), baskets, premiereWorld(data)];
  const found = quick
    ? []
    : [
        await worldCup(data),
        await loadBalancer(data),
        onlineBoutique(data),
        petShop(data),
        await accessLog(data),
        await demoEstate(),
      ];
  // In a quick run a world tries the group that it was made for alone.
  const cases = [...(quick ? worlds.map((one) => ({ ...one, groups: one.groups.slice(0, 1) })) : worlds), ...found];
  const wanted = cases.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  const rows: Row[] = [];
  const scratch = scratchFolder();
  for (const one of wanted)
    rows.push(
      ...(await measure(python, one, quick ? QUICK : FULL, scratch, progress)).map((measured) => ({
        ...measured,
        one,
      })),
    );
  rows.sort((a, b) => place(a.group) - place(b.group));
  const worth = rows.map(worthOf);
  const whole = !quick && words.length === 0;
  // A part of the cases decides nothing.
  const on = whole ? GROUPS.map(({ name }) => name).filter((name) => isOnByDefault(name, worth)) : DEFAULT_GROUPS;
  const text = `${table(rows)}\n\nOn by default, by the rule in control/features/groups/choose-groups.ts${whole ? "" : " and the last full run"}: ${on.join(", ") || "none"}.`;
  process.stdout.write(`${text}\n`);
  if (whole) {
    // Intervals on one line, as the formatter of the repository has them.
    const json = JSON.stringify(worth, null, 2).replace(/\[\s+(-?[\d.]+),\s+(-?[\d.]+)\s+\]/g, "[$1, $2]");
    await writeFile(join(ROOT, "control/features/groups/worth.json"), `${json}\n`);
    const abouts = wanted.map(
      (one) =>
        `- ${one.name} (${one.kind}): ${one.about}; ${one.shape.horizon} steps ahead, season ${one.shape.season}`,
    );
    await writeResults("ablation", `${text}\n\n${abouts.join("\n")}`);
  }
  return {
    groups: Object.fromEntries(GROUPS.map(({ name }) => [name, worth.filter(({ group }) => group === name)])),
    on,
  };
}

function place(group: string): number {
  return GROUPS.findIndex(({ name }) => name === group);
}

function worthOf({ group, one, difference }: Row): Worth {
  const round = (value: number): number => Math.round(value * 100) / 100;
  return {
    group,
    on: one.name,
    kind: one.kind,
    wqlPercent: round(difference.wqlPercent),
    interval: [round(difference.wqlInterval[0]), round(difference.wqlInterval[1])],
  };
}

function table(rows: readonly Row[]): string {
  const signed = (value: number, digits: number): string =>
    `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(digits)}`;
  return formatTable(
    [
      "group",
      "on",
      "data",
      "wQL without",
      "with",
      "change %",
      "95 %",
      "MASE without",
      "with",
      "95 % of the difference",
      "origins",
    ],
    rows.map(({ group, one, origins, difference: d }) => [
      group,
      one.name,
      one.kind,
      d.wql[0].toFixed(4),
      d.wql[1].toFixed(4),
      signed(d.wqlPercent, 1),
      `${signed(d.wqlInterval[0], 1)} … ${signed(d.wqlInterval[1], 1)}`,
      d.mase[0].toFixed(3),
      d.mase[1].toFixed(3),
      `${signed(d.maseInterval[0], 3)} … ${signed(d.maseInterval[1], 3)}`,
      String(origins),
    ]),
  );
}
