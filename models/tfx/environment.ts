import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { constants, existsSync, realpathSync } from "node:fs";
import { access, copyFile, lstat, mkdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../../common/errors.ts";
import { LockHeld, makerLock } from "../lib/maker-lock.ts";

/** Oldest C library that the wheels of TFX 1.21 load on (they are tagged manylinux_2_39). */
const minGlibc: readonly [number, number] = [2, 38];
/** What the root, the wheels and the caches take together, with some room. */
const minFreeBytes = 6 * 2 ** 30;
const here = dirname(fileURLToPath(import.meta.url));
const repo = resolve(here, "../..");

/** Where the Python of the pipeline lives and how a command is run in it. */
export interface TrainingEnvironment {
  /** The Debian 13 root that commands run in by chroot; undefined where the machine's own C library is new enough. */
  root: string | undefined;
  /** Absolute path of the interpreter; the same inside and outside of the root. */
  python: string;
}

export interface EnvironmentOptions {
  /** Folder of the root, the wheels and the caches. Default: BALLAST_TFX_HOME, else `.ballast` in the repository. */
  home?: string;
  /** One line per step. Default: standard error. */
  progress?: (line: string) => void;
}

interface Layout {
  home: string;
  root: string;
  work: string;
  venv: string;
  uv: string;
}

/**
 * Makes what the training pipeline runs in, or returns at once when it is there: `uv` in a virtual environment of its own, a
 * Debian 13 root by debootstrap where the machine's C library is too old, and the locked packages in a virtual environment.
 * Each stage leaves a stamp only when it is whole, so an interrupted run goes on where it stopped.
 *
 * Errors: TFX_UNSUPPORTED (platform, rights, disk), TFX_SETUP_FAILED (a step failed; its last lines are in the message).
 */
export async function makeTrainingEnvironment(options: EnvironmentOptions = {}): Promise<TrainingEnvironment> {
  const say = options.progress ?? ((line: string) => process.stderr.write(`${line}\n`));
  const layout = layoutOf(options.home);
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new BallastError("TFX_UNSUPPORTED", `TFX has no packages for ${process.platform}/${process.arch}`);

  const root = glibcIsRecent() ? undefined : layout.root;
  const environment: TrainingEnvironment = { root, python: join(layout.venv, "bin/python") };
  const wanted = await wantedStamp(root);
  const rootIsWhole = root === undefined || (await exists(root));
  if (rootIsWhole && (await readStamp(layout)) === wanted) return environment;

  await mkdir(layout.work, { recursive: true });
  await using _lock = await makerLock(join(layout.work, "make.lock"), 0).catch((cause) => {
    if (!(cause instanceof LockHeld)) throw cause;
    throw new BallastError("TFX_SETUP_FAILED", `process ${cause.pid} is making the training environment`, { cause });
  });
  const disk = await statfs(layout.home);
  if (disk.bavail * disk.bsize < minFreeBytes)
    throw new BallastError("TFX_UNSUPPORTED", `${layout.home} has less than ${minFreeBytes / 2 ** 30} GiB free`);

  if (root !== undefined && !rootIsWhole) await makeRoot(layout, say);
  if (!(await exists(layout.uv))) await makeUv(layout, say);
  say("installing the locked packages (about 3 GB; a minute or two with a good line)");
  if (!(await exists(environment.python))) {
    const python = root === undefined ? await hostPython() : "/usr/bin/python3";
    await runStep(root, [layout.uv, "venv", "--quiet", "--clear", "--python", python, layout.venv], layout);
  }
  const locks = [
    "--require-hashes",
    "--build-constraints",
    join(here, "build-constraints.lock"),
    join(here, "requirements.lock"),
  ];
  await runStep(root, [layout.uv, "pip", "sync", "--python", environment.python, ...locks], layout);
  const check = "import tfx, xgboost, onnx, onnxruntime, keras_tuner; print('tfx', tfx.__version__)";
  await runStep(root, [environment.python, "-c", check], layout);
  await writeFile(stampFile(layout), wanted);
  say("the training environment is ready");
  return environment;
}

/** Whether `makeTrainingEnvironment` would return at once. */
export async function environmentIsMade(home?: string): Promise<boolean> {
  const layout = layoutOf(home);
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  const root = glibcIsRecent() ? undefined : layout.root;
  if (root !== undefined && (process.getuid?.() !== 0 || !(await exists(root)))) return false;
  return (await readStamp(layout)) === (await wantedStamp(root));
}

/**
 * Runs a command in the environment, its output going through, and returns its exit code. The repository, `home` and `binds` are
 * visible under their own absolute paths. In a root the mounts live in a mount namespace of the command: they are gone when it ends, however
 * it ends.
 */
export async function runTraining(
  environment: TrainingEnvironment,
  argv: readonly string[],
  options: { home?: string; binds?: readonly string[]; env?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<number> {
  const { command, args, cwd, env } = trainingCommand(environment, argv, options);
  const child = spawn(command, args, {
    stdio: "inherit",
    cwd,
    env,
    ...(options.signal === undefined ? {} : { signal: options.signal, killSignal: "SIGTERM" }),
  });
  return await exitOf(child);
}

/** What to spawn for a command of the environment, for callers that read its output themselves. See `runTraining`. */
export function trainingCommand(
  environment: TrainingEnvironment,
  argv: readonly string[],
  options: { home?: string; binds?: readonly string[]; env?: Record<string, string> } = {},
): { command: string; args: string[]; cwd: string; env: Record<string, string> } {
  const layout = layoutOf(options.home);
  const [command, ...args] = commandIn(environment.root, argv, layout, options.binds ?? []);
  return { command: command!, args, cwd: repo, env: environmentVariables(layout, options.env) };
}

function layoutOf(home: string | undefined): Layout {
  const named = resolve(repo, home ?? process.env.BALLAST_TFX_HOME ?? ".ballast");
  // Mounts of a root do not follow a link: the folder that it leads to is what is mounted.
  const base = existsSync(named) ? realpathSync(named) : named;
  const work = join(base, "tfx");
  return { home: base, root: join(base, "trixie"), work, venv: join(work, "venv"), uv: join(work, "uv/bin/uv") };
}

/** glibc of this process; false on musl, where no wheel of TFX loads either. */
function glibcIsRecent(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const [major = 0, minor = 0] = (report.header?.glibcVersionRuntime ?? "0.0").split(".").map(Number);
  return major > minGlibc[0] || (major === minGlibc[0] && minor >= minGlibc[1]);
}

async function makeRoot(layout: Layout, say: (line: string) => void): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new BallastError(
      "TFX_UNSUPPORTED",
      "the C library of this machine is older than 2.38, and only root can make and enter a Debian 13 root",
    );
  if (!(await onPath("debootstrap"))) {
    if (!(await onPath("apt-get")))
      throw new BallastError("TFX_UNSUPPORTED", "debootstrap is not installed and there is no apt-get");
    say("installing debootstrap");
    await runStep(undefined, ["apt-get", "update", "-q"], layout);
    await runStep(undefined, ["apt-get", "install", "-y", "-q", "--no-install-recommends", "debootstrap"], layout);
  }
  say("making a Debian 13 root by debootstrap (about a minute)");
  // A root is renamed into place when it is whole; what an interrupted run left is not worth repairing.
  const partial = `${layout.root}.partial`;
  await rm(partial, { recursive: true, force: true });
  // g++ and the headers: a few small dependencies of TFX are published as source only.
  const packages = "python3,python3-venv,python3-dev,g++,ca-certificates";
  await runStep(undefined, ["debootstrap", "--variant=minbase", `--include=${packages}`, "trixie", partial], layout);
  await rm(join(partial, "var/cache/apt/archives"), { recursive: true, force: true });
  await rename(partial, layout.root);
}

async function makeUv(layout: Layout, say: (line: string) => void): Promise<void> {
  say("installing uv");
  const folder = dirname(dirname(layout.uv));
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await runStep(undefined, ["python3", "-m", "venv", partial], layout);
  const lock = join(here, "uv.lock");
  await runStep(
    undefined,
    [join(partial, "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock],
    layout,
  );
  // The scripts of this environment now name a folder that is gone; `uv` is a plain binary and does not mind.
  await rm(folder, { recursive: true, force: true });
  await rename(partial, folder);
}

async function hostPython(): Promise<string> {
  for (const name of ["python3.12", "python3.13"]) if (await onPath(name)) return name;
  throw new BallastError("TFX_UNSUPPORTED", "neither python3.12 nor python3.13 is on the path");
}

/** The command as the machine must run it: as it is, or in a namespace of its own with the root's mounts. */
function commandIn(
  root: string | undefined,
  argv: readonly string[],
  layout: Layout,
  binds: readonly string[],
): string[] {
  if (root === undefined) return [...argv];
  const script = `
    root=$1; cwd=$2; shift 2
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --rbind "$1" "$root$1"; shift; done
    shift
    exec chroot "$root" /usr/bin/env -C "$cwd" "$@"`;
  // --kill-child: whatever runs inside dies with the command, so nothing keeps the namespace and its mounts alive.
  const namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"];
  const visible = [...new Set([repo, layout.home, ...binds.map((b) => resolve(b))])];
  return [...namespace, "sh", "-eu", "-c", script, "sh", root, repo, ...visible, "--", ...argv];
}

function environmentVariables(layout: Layout, extra: Record<string, string> = {}): Record<string, string> {
  const kept =
    /^(LANG|LC_.*|TERM|CI|HOME|TMPDIR|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|UV_.*|PIP_.*|BALLAST_.*|OMP_NUM_THREADS)$/;
  const env: Record<string, string> = { PATH: `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin` };
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && kept.test(name)) env[name] = value;
  env.PATH = [env.PATH, process.env.PATH ?? ""].join(delimiter);
  env.UV_CACHE_DIR = join(layout.work, "cache");
  env.UV_PYTHON_DOWNLOADS = "never";
  env.UV_NO_CONFIG = "1";
  const ca = process.env.SSL_CERT_FILE;
  if (ca !== undefined) env.SSL_CERT_FILE = caFile(layout);
  return { ...env, ...extra };
}

/** A copy of the machine's certificates, under a path that is the same inside the root. */
function caFile(layout: Layout): string {
  return join(layout.work, "ca-certificates.crt");
}

async function runStep(root: string | undefined, argv: readonly string[], layout: Layout): Promise<void> {
  const ca = process.env.SSL_CERT_FILE;
  if (ca !== undefined) await copyFile(ca, caFile(layout)).catch(() => undefined);
  if (root !== undefined) await copyFile("/etc/resolv.conf", join(root, "etc/resolv.conf")).catch(() => undefined);
  const [command, ...rest] = commandIn(root, argv, layout, []);
  const child = spawn(command!, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: repo,
    env: { ...environmentVariables(layout), DEBIAN_FRONTEND: "noninteractive" },
  });
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      tail.push(...text.split("\n").filter((line) => line.trim() !== ""));
      tail.splice(0, tail.length - 12);
    });
  }
  let code: number;
  try {
    code = await exitOf(child);
  } catch (cause) {
    throw new BallastError("TFX_SETUP_FAILED", `${argv[0]} could not be started`, { cause });
  }
  if (code !== 0)
    throw new BallastError("TFX_SETUP_FAILED", `\`${argv.join(" ")}\` ended with ${code}:\n  ${tail.join("\n  ")}`);
}

function exitOf(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("close", (code, signal) => done(code ?? (signal === null ? 1 : 128)));
  });
}

function wantedStamp(root: string | undefined): Promise<string> {
  return stampOf(["requirements.lock", "build-constraints.lock", "uv.lock"], root === undefined ? "host" : "trixie");
}

async function stampOf(locks: readonly string[], base: string): Promise<string> {
  const hash = createHash("sha256").update(base);
  for (const name of locks) hash.update(await readFile(join(here, name)));
  return hash.digest("hex");
}

const stampFile = (layout: Layout) => join(layout.work, "venv.stamp");

async function readStamp(layout: Layout): Promise<string | undefined> {
  return await readFile(stampFile(layout), "utf8").catch(() => undefined);
}

/** Not `access`: the interpreter is a link that leads somewhere only inside the root. */
async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function onPath(name: string): Promise<boolean> {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]) {
    const found = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
