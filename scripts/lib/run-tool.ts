import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";

/** Text of a tool that is kept for an error message; the rest is read and dropped. */
const MAX_OUTPUT_BYTES = 16_384;

export interface ToolResult {
  /** Why the tool could not be started; null when it ran. */
  failure: string | null;
  exitCode: number | null;
  /** The last bytes of stdout and stderr together. */
  output: string;
}

/** Runs a tool to its end, or kills it after `timeoutMs`. Never throws. */
export function runTool(
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

export function lastLines(text: string, count = 3): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines
    .filter((line) => line !== "")
    .slice(-count)
    .join(" / ");
}

export async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
