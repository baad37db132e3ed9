import { spawn } from "node:child_process";
import { hash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { BallastError } from "../../common/errors.ts";
import { makerLock } from "../lib/maker-lock.ts";

export const treesDir = dirname(fileURLToPath(import.meta.url));

/** Lines kept of a failed command: enough for a Python traceback. */
const MAX_KEPT_LINES = 40;
/** For another process that makes the same environment: a slow line takes minutes. */
const MAX_WAIT_MS = 600_000;
const STAMP = "ballast-requirements.sha256";

/**
 * A Python with exactly the packages of requirements.txt, in a virtual environment at `venvDir`; made when it is absent
 * or was made from other requirements, else used as it is; while another process makes it, it is waited for. Returns the path of its interpreter.
 * Errors: PYTHON_MISSING, TRAIN_ENVIRONMENT_FAILED.
 */
export async function makePythonEnvironment(venvDir: string, progress: (text: string) => void): Promise<string> {
  const requirements = join(treesDir, "requirements.txt");
  const wanted = hash("sha256", await readFile(requirements));
  const python = join(venvDir, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const stamp = join(venvDir, STAMP);
  const isMade = async (): Promise<boolean> => (await readFile(stamp, "utf8").catch(() => "")) === wanted;
  if (await isMade()) return python;
  await mkdir(dirname(venvDir), { recursive: true });
  await using _lock = await makerLock(`${venvDir}.lock`, MAX_WAIT_MS).catch((cause) => {
    throw BallastError.from(cause, "TRAIN_ENVIRONMENT_FAILED");
  });
  if (await isMade()) return python;

  const base = process.env.BALLAST_PYTHON ?? "python3";
  const version = await runLines(base, ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).catch(() => null);
  const [major = 0, minor = 0] = version?.at(-1)?.split(".").map(Number) ?? [];
  if (version === null || major !== 3 || minor < 11) {
    throw new BallastError(
      "PYTHON_MISSING",
      `training needs Python 3.11 or newer; ${base} is ${version?.at(-1) ?? "not there"}`,
      {
        hint: "Install Python 3.11 or newer with pip and venv, or name one in BALLAST_PYTHON. Running needs no training: a model is in the repository.",
      },
    );
  }
  progress("installing the training packages (once, about 400 MB)");
  await rm(venvDir, { recursive: true, force: true });
  try {
    await runLines(base, ["-m", "venv", venvDir]);
    await runLines(python, [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--require-hashes",
      "--only-binary",
      ":all:",
      "-r",
      requirements,
    ]);
  } catch (cause) {
    throw BallastError.from(cause, "TRAIN_ENVIRONMENT_FAILED");
  }
  await writeFile(stamp, wanted);
  return python;
}

/**
 * Runs a command to its end and returns the last lines of its standard output. `onLine` sees each line as it comes.
 * Throws an Error with the last lines of standard error when it cannot start or ends with another status than 0.
 */
export async function runLines(
  command: string,
  args: readonly string[],
  onLine: (line: string) => void = () => undefined,
): Promise<string[]> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
  });
  const out: string[] = [];
  const err: string[] = [];
  const keep = (lines: string[], line: string): void => {
    lines.push(line);
    if (lines.length > MAX_KEPT_LINES) lines.shift();
  };
  createInterface(child.stdout).on("line", (line) => {
    keep(out, line);
    onLine(line);
  });
  createInterface(child.stderr).on("line", (line) => keep(err, line));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (status !== 0) throw new Error(`${command} ${args[0] ?? ""} ended with status ${status}\n${err.join("\n")}`);
  return out;
}
