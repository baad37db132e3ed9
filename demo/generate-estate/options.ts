import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";

/** What the generated world looks like; times of windows are seconds of the demo. */
export interface EstateOptions {
  out: string;
  /** ballast.yaml whose clock says what second 0 and a second are. */
  config: string;
  seed: number;
  weeks: number;
  /** Approved changes on `on`; each [from, to]. */
  windows: [number, number][];
  on: string;
  /** What becomes of those changes. */
  fate: "approved" | "cancelled" | "rejected" | "unapproved";
  /** A further approved change after the first, and one that overlaps it, on the same path. */
  double: boolean;
  overlap: boolean;
  reverseRelation: boolean;
  /** Added to every CI name. */
  rename: string;
  shiftPeakDays: number;
  shiftPeakHours: number;
  /** Where to write a copy of `config` that reads the generated files, with the renamed CIs; null: nowhere. */
  configOut: string | null;
}

export const USAGE = `usage: node demo/generate-estate/main.ts [--out DIR] [flags]
  --out DIR               default demo/estate
  --config FILE           whose clock is used; default demo/ballast.yaml
  --config-out FILE       write a copy of it that reads the generated files
  --seed N                default 7
  --weeks N               of load history, default 6
  --window FROM:TO        seconds of the demo, may be repeated; default 35:65
  --on CI                 the change's CI; default core-db-b
  --cancel, --reject, --unapproved   that change is cancelled, rejected, not approved
  --off-path              that change lies on a CI that no target depends on
  --no-windows            no approved change at all
  --double                a second window after the first
  --overlap               a second change on the path that overlaps the first
  --reverse-relation      pay-app-b's relation to core-db-b entered the wrong way round
  --rename SUFFIX         every CI gets another name
  --shift-peak-days N --shift-peak-hours H   in the last N days the daily rhythm comes H hours later (negative: earlier)`;

export function parseOptions(args: string[]): EstateOptions {
  const flag = { type: "boolean", default: false } as const;
  const text = (standard: string): { type: "string"; default: string } => ({ type: "string", default: standard });
  let values: Record<string, string | boolean | string[] | undefined>;
  try {
    values = parseArgs({
      args: joinNegative(args),
      options: {
        out: text("demo/estate"),
        config: text("demo/ballast.yaml"),
        "config-out": { type: "string" },
        seed: text("7"),
        weeks: text("6"),
        window: { type: "string", multiple: true },
        on: text("core-db-b"),
        cancel: flag,
        reject: flag,
        unapproved: flag,
        "off-path": flag,
        "no-windows": flag,
        double: flag,
        overlap: flag,
        "reverse-relation": flag,
        rename: text(""),
        "shift-peak-days": text("0"),
        "shift-peak-hours": text("0"),
      },
    }).values;
  } catch (cause) {
    throw new BallastError("USAGE", (cause as Error).message, { hint: USAGE, cause });
  }
  const fates = (["cancel", "reject", "unapproved"] as const).filter((name) => values[name] === true);
  if (fates.length > 1)
    throw new BallastError("USAGE", `--${fates.join(" and --")} exclude each other`, { hint: USAGE });
  const fate = ({ cancel: "cancelled", reject: "rejected", unapproved: "unapproved" } as const)[fates[0] ?? "cancel"];
  const windows = ((values.window as string[] | undefined) ?? ["35:65"]).map(parseWindow);
  return {
    out: String(values.out),
    config: String(values.config),
    seed: number("seed", values.seed, 0, 2 ** 31),
    weeks: number("weeks", values.weeks, 1, 520),
    windows: values["no-windows"] === true ? [] : windows,
    on: values["off-path"] === true ? "report-db" : String(values.on),
    fate: fates.length === 0 ? "approved" : fate,
    double: values.double === true,
    overlap: values.overlap === true,
    reverseRelation: values["reverse-relation"] === true,
    rename: String(values.rename),
    shiftPeakDays: number("shift-peak-days", values["shift-peak-days"], 0, 3650),
    shiftPeakHours: number("shift-peak-hours", values["shift-peak-hours"], -24, 24),
    configOut: (values["config-out"] as string | undefined) ?? null,
  };
}

/** `--shift-peak-hours -2` as `--shift-peak-hours=-2`: parseArgs takes the number for a flag. */
function joinNegative(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const flag = joined.at(-1);
    if (/^-[^-]/.test(arg) && flag !== undefined && /^--(shift-peak-hours|rename)$/.test(flag)) {
      joined[joined.length - 1] = `${flag}=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

function parseWindow(text: string): [number, number] {
  const match = /^(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/.exec(text);
  const [from, to] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || !(from < to)) {
    throw new BallastError("USAGE", `--window ${text}: expected FROM:TO in seconds, FROM below TO`, { hint: USAGE });
  }
  return [from, to];
}

function number(name: string, value: unknown, min: number, max: number): number {
  const parsed = Number(value);
  if (String(value).trim() !== "" && parsed >= min && parsed <= max) return parsed;
  throw new BallastError("USAGE", `--${name} ${String(value)}: expected a number from ${min} to ${max}`, {
    hint: USAGE,
  });
}
