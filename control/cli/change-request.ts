import { readFile } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { BallastError } from "../../common/errors.ts";
import { share } from "../config/values.ts";

export interface RequestedService {
  name: string;
  weightsPpm?: Record<string, number>;
  mode?: "observe" | "steer";
}

const MAX_FILE_BYTES = 1 << 20;

export const CHANGE_USAGE = `FILE is YAML: services by name, each with weights and/or mode:
  services:
    payments: { weights: { payments-site-a: 70%, payments-site-b: 30% } }
    ledger: { mode: steer }
--service NAME --weights a=70,b=30 (percent) and --mode observe|steer say the same for one service.`;

/** What `diff` and `apply` ask for: from FILE, or from --service with --weights or --mode. Throws USAGE. */
export async function readChange(
  file: string | undefined,
  flags: { service?: string | undefined; weights?: string | undefined; mode?: string | undefined },
): Promise<RequestedService[]> {
  if ((file === undefined) === (flags.service === undefined)) {
    throw new BallastError("USAGE", "name a FILE, or --service with --weights or --mode");
  }
  if (file !== undefined) {
    if (flags.weights !== undefined || flags.mode !== undefined)
      throw new BallastError("USAGE", "--weights and --mode go with --service");
    return parseChange(await readText(file), file);
  }
  const weights = flags.weights?.split(",").map((pair): [string, string] => {
    const at = pair.lastIndexOf("=");
    if (at < 1) throw new BallastError("USAGE", `--weights ${pair}: expected TARGET=PERCENT`);
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  });
  return [toService(flags.service!, weights, flags.mode, "--weights")];
}

export function parseChange(text: string, file: string): RequestedService[] {
  const fail = (what: string): never => {
    throw new BallastError("USAGE", what, { position: { file } });
  };
  let document: unknown;
  try {
    document = parseYaml(text, { schema: "failsafe", uniqueKeys: true });
  } catch (cause) {
    return fail(cause instanceof Error ? cause.message : String(cause));
  }
  const services = mapping(document, ["services"], "the file", fail).services;
  return Object.entries(mapping(services, null, "services", fail)).map(([name, value]) => {
    const { weights, mode } = mapping(value, ["weights", "mode"], name, fail);
    const pairs = weights === undefined ? undefined : Object.entries(mapping(weights, null, `${name}.weights`, fail));
    return toService(name, pairs, mode, file);
  });
}

function mapping(
  value: unknown,
  known: readonly string[] | null,
  what: string,
  fail: (what: string) => never,
): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail(`${what}: expected a mapping`);
  for (const key of Object.keys(value)) {
    if (known !== null && !known.includes(key))
      fail(`${what}: unknown field ${JSON.stringify(key)}; expected ${known.join(" or ")}`);
  }
  return value as Record<string, unknown>;
}

function toService(
  name: string,
  weights: readonly (readonly [string, unknown])[] | undefined,
  mode: unknown,
  where: string,
): RequestedService {
  if (mode !== undefined && mode !== "observe" && mode !== "steer") {
    throw new BallastError("USAGE", `${name}: mode ${JSON.stringify(mode)}; expected observe or steer`);
  }
  if (weights === undefined) return mode === undefined ? { name } : { name, mode };
  const weightsPpm: Record<string, number> = Object.create(null);
  for (const [target, text] of weights) {
    const ppm = typeof text === "string" ? share.parse(text.endsWith("%") ? text : `${text}%`) : undefined;
    if (ppm === undefined)
      throw new BallastError(
        "USAGE",
        `${where}: ${target} is ${JSON.stringify(text)}; expected a percent such as 70 or 12.5`,
      );
    if (Object.hasOwn(weightsPpm, target)) throw new BallastError("USAGE", `${where}: ${target} twice`);
    weightsPpm[target] = ppm;
  }
  return { name, weightsPpm, ...(mode === undefined ? {} : { mode }) };
}

async function readText(file: string): Promise<string> {
  try {
    const text = await readFile(file, "utf8");
    if (text.length > MAX_FILE_BYTES) throw new Error(`more than ${MAX_FILE_BYTES} characters`);
    return text;
  } catch (cause) {
    throw new BallastError("USAGE", (cause as Error).message, { position: { file }, cause });
  }
}
