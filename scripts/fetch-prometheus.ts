import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../common/errors.ts";
import { isExecutable, lastLines, runTool } from "./lib/run-tool.ts";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const PACKAGE = "prometheus";
/** Where Debian's package puts it, promtool beside it. */
const INSTALLED = "/usr/bin/prometheus";
const LIST_TIMEOUT_MS = 120_000;
const DOWNLOAD_TIMEOUT_MS = 300_000;
const CHECK_TIMEOUT_MS = 30_000;

export interface FetchPrometheusOptions {
  /** Folder of the cache, default `.ballast/prometheus` in the repository. */
  cacheDir?: string;
  env?: NodeJS.ProcessEnv;
  onProgress?: (text: string) => void;
}

/**
 * Path of a Prometheus with promtool beside it: BALLAST_PROMETHEUS if set, else an installed one, else the cached one, else
 * Debian's package, unpacked into the cache. apt fetches it with lists of its own, so that nothing of the machine is
 * changed and no rights are needed, and checks it against the distribution's signatures: the version is the distribution's.
 * Throws BallastError PROMETHEUS_MISSING.
 */
export async function fetchPrometheus(options: FetchPrometheusOptions = {}): Promise<string> {
  const env = options.env ?? process.env;
  const found = await findPrometheus(options);
  if (found !== null) return found;
  const named = env.BALLAST_PROMETHEUS ?? "";
  if (named !== "") throw missing(`BALLAST_PROMETHEUS names ${named}, which cannot be run`);
  options.onProgress?.("fetching Debian's Prometheus (19 MB, once) …");
  const folder = cacheDirOf(options);
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, "unpack-"));
  try {
    await download(scratch, env);
    const [file, ...more] = (await readdir(scratch)).filter((name) => name.endsWith(".deb"));
    if (file === undefined || more.length > 0) throw missing("apt-get downloaded no package");
    const tree = join(scratch, "tree");
    await run("dpkg-deb", ["-x", join(scratch, file), tree], env, CHECK_TIMEOUT_MS);
    await run(binaryIn(tree), ["--version"], env, CHECK_TIMEOUT_MS);
    const place = join(folder, "tree");
    // Another process may have put it there meanwhile; a tree without the binary is one that broke off.
    if (!(await isExecutable(binaryIn(place)))) {
      await rm(place, { recursive: true, force: true });
      await rename(tree, place);
    }
    return binaryIn(place);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The binary that fetchPrometheus would return without a download, or null: for tests that skip where none can be had. */
export async function findPrometheus(options: Omit<FetchPrometheusOptions, "onProgress"> = {}): Promise<string | null> {
  const named = (options.env ?? process.env).BALLAST_PROMETHEUS ?? "";
  const places = named !== "" ? [resolve(named)] : [INSTALLED, binaryIn(join(cacheDirOf(options), "tree"))];
  for (const path of places) if (await isExecutable(path)) return path;
  return null;
}

async function download(scratch: string, env: NodeJS.ProcessEnv): Promise<void> {
  const state = join(scratch, "apt");
  for (const part of ["lists/partial", "cache/archives/partial"]) await mkdir(join(state, part), { recursive: true });
  const own = [
    ...["-o", `Dir::State::Lists=${join(state, "lists")}`, "-o", `Dir::Cache=${join(state, "cache")}`],
    // As root apt would hand the download to a user that cannot write here.
    ...["-o", "APT::Sandbox::User="],
  ];
  await run("apt-get", [...own, "-q", "update"], env, LIST_TIMEOUT_MS);
  // It writes into the folder that it is run in.
  const script = 'cd "$0" && exec apt-get "$@"';
  await run("sh", ["-c", script, scratch, ...own, "-q", "download", PACKAGE], env, DOWNLOAD_TIMEOUT_MS);
}

async function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv, timeoutMs: number): Promise<void> {
  const { failure, exitCode, output } = await runTool(file, args, { env, timeoutMs });
  if (failure !== null) throw missing(`${file} cannot be run: ${failure}`);
  if (exitCode !== 0) throw missing(`${file} ended with ${exitCode ?? "a signal"}: ${lastLines(output)}`);
}

function missing(what: string): BallastError {
  return new BallastError("PROMETHEUS_MISSING", what);
}

function cacheDirOf({ cacheDir }: Pick<FetchPrometheusOptions, "cacheDir">): string {
  return cacheDir ?? join(ROOT, ".ballast", "prometheus");
}

function binaryIn(tree: string): string {
  return join(tree, "usr", "bin", "prometheus");
}
