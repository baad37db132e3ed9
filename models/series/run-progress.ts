import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { BallastError } from "../../common/errors.ts";
import { type TrainingEnvironment, trainingCommand } from "../tfx/environment.ts";

/** Lines kept of what went wrong: enough for a Python traceback. */
const MAX_KEPT_LINES = 40;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs Python with `args`, in the training environment or by the interpreter of a virtual environment. Lines that start with
 * `progress ` go to `progress`; the last lines of standard error come back with the exit code. Throws when it cannot be started, and
 * TRAIN_INTERRUPTED where a signal ended this process's wish for it; a second signal ends this process at once. Its standard input ends with
 * this process (models/tfx/pipeline/starter.py), so that it does not outlive it.
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
  const child = spawn(command, all, { stdio: ["pipe", "pipe", "pipe"], env, ...(cwd === undefined ? {} : { cwd }) });
  // It may be gone before its input ends.
  child.stdin.on("error", () => undefined);
  const errors: string[] = [];
  createInterface(child.stdout).on("line", (line) => {
    if (line.startsWith("progress ")) options.progress(line.slice("progress ".length));
  });
  createInterface(child.stderr).on("line", (line) => {
    errors.push(line);
    if (errors.length > MAX_KEPT_LINES) errors.shift();
  });
  let interrupted: NodeJS.Signals | null = null;
  const interrupt = (signal: NodeJS.Signals): void => {
    interrupted = signal;
    for (const one of SIGNALS) process.off(one, interrupt);
    child.stdin.end();
  };
  for (const one of SIGNALS) process.on(one, interrupt);
  try {
    const code = await new Promise<number>((done, fail) => {
      child.once("error", fail);
      child.once("close", (status, signal) => done(status ?? (signal === null ? 1 : 128)));
    });
    if (interrupted !== null) throw new BallastError("TRAIN_INTERRUPTED", `ended by ${interrupted}`);
    return { code, errors };
  } finally {
    for (const one of SIGNALS) process.off(one, interrupt);
  }
}
