import { readFile } from "node:fs/promises";
import type { RiskSession } from "../../control/forecast/risk/risk-assessor.ts";
import { WorkerSession } from "../../control/forecast/worker/worker-session.ts";

/** Probabilities of an exported file for rows (row-major, `features` wide), by the engine that serves it. */
export async function askFile(path: string, rows: Float32Array<ArrayBuffer>, features: number): Promise<Float32Array> {
  const session: RiskSession = await WorkerSession.open({
    input: { bytes: await readFile(path), features },
    timeoutMs: 10_000,
    loadTimeoutMs: 15_000,
    workerMemoryMb: 64,
    workerUrl: new URL("../../control/forecast/risk/risk-worker.ts", import.meta.url),
  });
  try {
    return await session.run(rows, [rows.buffer]);
  } finally {
    session.close();
  }
}
