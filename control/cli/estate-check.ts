import { parseArgs } from "node:util";
import { systemClock } from "../../common/clock.ts";
import { BallastError, formatPosition } from "../../common/errors.ts";
import { ConfigError, formatProblem } from "../config/config-error.ts";
import { loadConfig } from "../config/load-config.ts";
import { buildEstate } from "../estate/build-estate.ts";
import type { Estate, Finding, TargetWindow } from "../estate/estate.ts";
import { readConfiguredEstate } from "../serve/inputs.ts";
import type { Io } from "./io.ts";

const HELP = `usage: ballast estate check [--config FILE] [--json] [--tickets]

Reads the export that FILE (default demo/ballast.yaml) names and prints every finding, each target with its capacity and
the facts behind it, and the windows it inherits. --tickets lists every change and incident with why it acts or not.
Exit 0 without errors, 1 with errors in the export, 2 when the configuration or the export cannot be read.`;

const COLOURS = { error: "31", warning: "33", note: "2" } as const;

export async function run(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help || (positionals.length === 0 && args.length === 0)) {
    io.out(HELP);
    return values.help ? 0 : 2;
  }
  if (positionals.join(" ") !== "check") {
    throw new BallastError("USAGE", `estate ${positionals.join(" ")}: expected \`estate check\``, { hint: HELP });
  }
  const config = await loadConfig(values.config);
  const records = await readConfiguredEstate(config);
  let estate: Estate;
  try {
    estate = buildEstate({ records, config, nowMs: config.clock?.startMs ?? systemClock.nowMs() });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // The findings may hold the reason why a name leads nowhere, so they are shown before the refusal.
    if (values.json)
      io.out(JSON.stringify({ problems: error.problems.map(formatProblem), findings: records.findings }));
    else for (const finding of records.findings) io.out(findingLine(finding, io.color));
    throw error;
  }
  if (values.json) io.out(JSON.stringify(toJson(estate)));
  else io.out(report(estate, io.color, values.tickets));
  return estate.findings.some((finding) => finding.severity === "error") ? 1 : 0;
}

function parse(args: string[]): {
  values: { config: string; json: boolean; tickets: boolean; help: boolean };
  positionals: string[];
} {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        config: { type: "string", default: "demo/ballast.yaml" },
        json: { type: "boolean", default: false },
        tickets: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (cause) {
    throw new BallastError("USAGE", (cause as Error).message, { hint: HELP, cause });
  }
}

function report(estate: Estate, color: boolean, tickets: boolean): string {
  const lines: string[] = [];
  for (const service of estate.services.values()) {
    lines.push(service.name);
    for (const target of service.targets) {
      lines.push(`  ${target.name}  ${target.capacityRps.toFixed(0)} rps = ${target.capacitySource}`);
      for (const window of target.windows) lines.push(`    ${windowLine(window)}`);
    }
  }
  const acting = estate.tickets.filter((ticket) => ticket.acts).length;
  lines.push(
    `${estate.cis.size} CIs, ${estate.dependencies.length} dependencies, ${acting} of ${estate.tickets.length} tickets act; estate ${estate.digest}`,
  );
  if (tickets) {
    for (const t of estate.tickets) {
      lines.push(`  ${t.ticket}  ${t.acts ? `acts on ${t.targets.join(", ")}` : "does not act"}: ${t.why}`);
    }
  }
  for (const finding of estate.findings) lines.push(findingLine(finding, color));
  if (estate.findings.length === 0) lines.push("no findings");
  return lines.join("\n");
}

function windowLine(window: TargetWindow): string {
  const { startMs, endMs, remaining } = window;
  const from = startMs === 0 ? "the beginning" : iso(startMs);
  const until = endMs === Number.POSITIVE_INFINITY ? "further notice" : iso(endMs);
  const left = remaining === 0 ? "out of service" : `${Math.round(remaining * 100)} % of capacity`;
  return `${window.ticket} (${window.kind}) from ${from} to ${until}: ${left}, by ${window.path.join(" → ")}`;
}

function findingLine({ severity, code, message, provenance }: Finding, color: boolean): string {
  const word = color ? `\u001b[${COLOURS[severity]}m${severity}\u001b[0m` : severity;
  const at = provenance === undefined ? "" : ` [${formatPosition({ file: provenance.file, line: provenance.line })}]`;
  return `${word} ${code}: ${message}${at}`;
}

function toJson(estate: Estate): unknown {
  return {
    digest: estate.digest,
    readAt: iso(estate.readAtMs),
    cis: estate.cis.size,
    dependencies: estate.dependencies.length,
    services: [...estate.services.values()].map((service) => ({
      ...service,
      targets: service.targets.map((target) => ({
        ...target,
        // An open end has no number in JSON.
        windows: target.windows.map((w) => ({ ...w, endMs: Number.isFinite(w.endMs) ? w.endMs : null })),
      })),
    })),
    tickets: estate.tickets,
    findings: estate.findings,
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/:00\.000Z$/, "Z");
}
