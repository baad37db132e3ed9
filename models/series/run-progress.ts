import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type TrainingEnvironment, trainingCommand } from "../tfx/environment.ts";

/** Lines kept of what went wrong: enough for a Python traceback. */
const MAX_KEPT_LINES = 40;

/**
 * Runs Python with `args`, in the training environment or by the interpreter of a virtual environment. Lines that start with
 * `progress ` go to `progress`; the last lines of standard error come back with the exit code. Throws when it cannot be started.
 */
export async function runProgress(
  python: TrainingEnvironment | string,
  args: readonly string[],
  options: { env: Record<string, string>; binds: readonly string[]; progress: (text: string) => void },
): Promise<{ code: number; errors: string[] }> {
  const {
    command,
    args: all,
    env,
    cwd,
  } = typeof python === "string"
    ? { command: python, args: [...args], env: { ...process.env, ...options.env }, cwd: undefined }
    : trainingCommand(python, [python.python, ...args], { binds: options.binds, env: options.env });
  const child = spawn(command, all, { stdio: ["ignore", "pipe", "pipe"], env, ...(cwd === undefined ? {} : { cwd }) });
  const errors: string[] = [];
  createInterface(child.stdout).on("line", (line) => {
    if (line.startsWith("progress ")) options.progress(line.slice("progress ".length));
  });
  createInterface(child.stderr).on("line", (line) => {
    errors.push(line);
    if (errors.length > MAX_KEPT_LINES) errors.shift();
  });
  const code = await new Promise<number>((done, fail) => {
    child.once("error", fail);
    child.once("close", (status, signal) => done(status ?? (signal === null ? 1 : 128)));
  });
  return { code, errors };
}
