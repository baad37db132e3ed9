import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

/** A process of the benchmark, on one core, that ends with it. */
export interface Child {
  pid: number;
  process: ChildProcess;
  /** The last lines it wrote on stderr. */
  complaint(): string;
  stop(): Promise<void>;
}

const MAX_COMPLAINT_CHARS = 4096;
const KILL_AFTER_MS = 3000;
const children = new Set<Child>();

/** Starts `file` pinned to `core` by taskset, which then becomes that program (exec), so the pid is the program's. */
export function startPinned(core: number, file: string, args: readonly string[], options: SpawnOptions = {}): Child {
  const child = spawn("taskset", ["-c", String(core), file, ...args], { stdio: ["pipe", "pipe", "pipe"], ...options });
  let complaint = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    complaint = (complaint + bytes.toString()).slice(-MAX_COMPLAINT_CHARS);
  });
  const closed = new Promise<void>((done) => child.once("close", () => done()));
  child.once("error", (cause) => {
    complaint += cause.message;
  });
  const handle: Child = {
    pid: child.pid ?? -1,
    process: child,
    complaint: () => complaint,
    stop: async () => {
      children.delete(handle);
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
      await closed;
      clearTimeout(force);
    },
  };
  children.add(handle);
  return handle;
}

/** Stops all that were started; for the end of a run and for Ctrl-C. */
export async function stopChildren(): Promise<void> {
  await Promise.all([...children].map((child) => child.stop()));
}

process.once("exit", () => {
  for (const child of children) child.process.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void stopChildren().then(() => process.exit(130));
  });
}
