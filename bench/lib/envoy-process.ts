import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Child, startPinned } from "./child.ts";
import { scratchFolder } from "./scratch.ts";

export interface EnvoyProcess {
  child: Child;
  adminPort: number;
  /** Body of an admin page, for example `/stats?filter=wasm`. */
  admin(path: string): Promise<string>;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;

/** Starts an Envoy with one bootstrap (JSON) on one core and waits until it is live with all listeners up. */
export async function startEnvoy(options: {
  binary: string;
  core: number;
  bootstrap: object;
  adminPort: number;
  /** Worker threads, default 1. */
  concurrency?: number;
  env?: Record<string, string>;
}): Promise<EnvoyProcess> {
  const path = join(scratchFolder(), "bootstrap.json");
  await writeFile(path, JSON.stringify(options.bootstrap));
  const child = startPinned(
    options.core,
    options.binary,
    ["-c", path, "--concurrency", String(options.concurrency ?? 1), "--disable-hot-restart", "-l", "warning"],
    { env: { ...process.env, ...options.env }, stdio: ["ignore", "ignore", "pipe"] },
  );
  const admin = async (page: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${options.adminPort}${page}`);
    return response.text();
  };
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    if (child.process.exitCode !== null) {
      throw new Error(`Envoy ended with exit ${child.process.exitCode}: ${child.complaint()}`);
    }
    const state = await admin("/ready").catch(() => "");
    if (state.startsWith("LIVE")) return { child, adminPort: options.adminPort, admin, stop: child.stop };
    if (performance.now() > deadline) {
      await child.stop();
      throw new Error(`Envoy was not live within ${READY_TIMEOUT_MS} ms: ${child.complaint()}`);
    }
    await sleep(50);
  }
}
