import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { parseArgs, promisify } from "node:util";
import { parse } from "yaml";
import { BallastError } from "../../common/errors.ts";
import { checkConfig } from "../../envoy/check/check-config.ts";
import { checkEnvoy, findEnvoy } from "../../scripts/fetch-envoy.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast envoy check [FILE] [--admin URL] [--envoy PATH] [--json]

Checks before it starts what Envoy itself would tell late or not at all.
FILE           a bootstrap (YAML or JSON): filters that clash in one VM, a header that clients could set, no kill switch, values that no
               longer fit the weights
--admin URL    the same for a running Envoy, for example http://127.0.0.1:9901
--envoy PATH   the binary: can it run, and has it V8 (default: BALLAST_ENVOY or the fetched one; left out when neither is there)
Exit 0, or 1 with errors in the configuration; a binary without V8 ends with ENVOY_WITHOUT_V8.`;

/** The first line that ABI and configuration of the filter were tested on. */
const LEAST_MINOR = 37;
const RETRY_MINOR = 39;
const MAX_BYTES = 64 << 20;
const TIMEOUT_MS = 10_000;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      admin: { type: "string" },
      envoy: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const [file, ...more] = positionals;
  if (more.length > 0) throw new BallastError("USAGE", "envoy check takes one file", { hint: USAGE });
  const binary = values.envoy ?? (await findEnvoy());
  if (binary === null && file === undefined && values.admin === undefined) {
    throw new BallastError("USAGE", "nothing to check: name a FILE, --admin or --envoy", { hint: USAGE });
  }
  const version = binary === null ? null : await checkBinary(binary);
  const config =
    file !== undefined ? await readConfig(file) : values.admin !== undefined ? await fetchDump(values.admin) : null;
  const findings = config === null ? [] : checkConfig(config);
  if (values.json) io.out(JSON.stringify({ envoy: version, findings }));
  else {
    if (version !== null) io.out(`${binary}: ${describe(version)}`);
    for (const { severity, code, text } of findings) io.out(`${severity} ${code}: ${text}`);
    if (config !== null && findings.length === 0) io.out(`${file ?? values.admin}: nothing to mend`);
  }
  return findings.some(({ severity }) => severity === "error") ? 1 : 0;
};

async function checkBinary(path: string): Promise<string> {
  await checkEnvoy(path);
  const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: TIMEOUT_MS });
  return /\/(\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? "unknown";
}

function describe(version: string): string {
  const minor = Number(version.split(".")[1]);
  const old = minor < LEAST_MINOR ? `, older than 1.${LEAST_MINOR}: not tested` : "";
  const retry = minor < RETRY_MINOR ? "; retries stay in their cluster (refresh_cluster_on_retry came with 1.39)" : "";
  return `Envoy ${version} with V8${old}${retry}`;
}

async function readConfig(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new BallastError("USAGE", `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  let value: unknown;
  try {
    value = parse(text, { merge: true });
  } catch (cause) {
    throw new BallastError("USAGE", `${file} is neither YAML nor JSON: ${(cause as Error).message}`, { cause });
  }
  return asObject(value, file);
}

async function fetchDump(admin: string): Promise<Record<string, unknown>> {
  const url = `${admin.replace(/\/$/, "")}/config_dump`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const text = await response.text();
    if (!response.ok) throw new Error(`status ${response.status}`);
    if (text.length > MAX_BYTES) throw new Error(`the answer is larger than ${MAX_BYTES} bytes`);
    return asObject(JSON.parse(text), url);
  } catch (cause) {
    throw new BallastError("USAGE", `${url} did not answer with a configuration: ${(cause as Error).message}`, {
      cause,
      hint: "--admin names Envoy's admin endpoint, for example http://127.0.0.1:9901.",
    });
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new BallastError("USAGE", `${what} holds no configuration`);
}
