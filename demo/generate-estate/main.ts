import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { ERROR_CODES } from "../../common/error-codes.ts";
import { BallastError } from "../../common/errors.ts";
import { loadConfig } from "../../control/config/load-config.ts";
import { historyCsv } from "./demand.ts";
import { exportTables, tableJson } from "./export.ts";
import { type EstateOptions, parseOptions, USAGE } from "./options.ts";

const DAY_MS = 86_400_000;
const STEP_MS = 300_000;

/** Writes the export, the load history and, when asked for, a ballast.yaml that reads them. */
export async function generateEstate(options: EstateOptions): Promise<void> {
  const config = await loadConfig(options.config);
  if (config.clock === null) {
    throw new BallastError("USAGE", `${options.config} has no clock, so its demo has no second 0`, { hint: USAGE });
  }
  const { clock } = config;
  await mkdir(options.out, { recursive: true });
  for (const [table, rows] of exportTables(options, clock)) {
    await writeFile(join(options.out, `${table}.json`), tableJson(rows));
  }
  const csv = historyCsv({
    seed: options.seed,
    endMs: Math.floor(clock.startMs / STEP_MS) * STEP_MS,
    stepMs: STEP_MS,
    steps: Math.round((options.weeks * 7 * DAY_MS) / STEP_MS),
    shiftDays: options.shiftPeakDays,
    shiftHours: options.shiftPeakHours,
  });
  await writeFile(join(options.out, "load_history.csv"), csv);
  if (options.configOut !== null) await writeConfig(options, options.configOut);
}

/** A copy of the configuration, comments kept, with the generated paths and the names that --rename gave. */
async function writeConfig(options: EstateOptions, file: string): Promise<void> {
  const document = parseDocument(await readFile(options.config, "utf8"));
  document.setIn(["estate", "servicenow"], options.out);
  document.setIn(["history", "csv"], join(options.out, "load_history.csv"));
  const config = await loadConfig(options.config);
  for (const service of config.services.values()) {
    document.setIn(["services", service.name, "ci"], `${service.ci}${options.rename}`);
    for (const target of service.targets.values()) {
      document.setIn(["services", service.name, "targets", target.name, "ci"], `${target.ci}${options.rename}`);
    }
  }
  await writeFile(file, document.toString({ lineWidth: 0 }));
}

if (import.meta.main) {
  try {
    if (process.argv.includes("--help")) process.stdout.write(`${USAGE}\n`);
    else await generateEstate(parseOptions(process.argv.slice(2)));
  } catch (thrown) {
    const error = BallastError.from(thrown, "INTERNAL");
    process.stderr.write(`${error.message}\n  ${error.hint}\n`);
    process.exitCode = ERROR_CODES[error.code].exit;
  }
}
