import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { BallastConfig } from "../config/config.ts";

/** What the planning clock shows at a wall time. */
export function planningTime({ clock }: BallastConfig, anchorMs: number): (wallMs: number) => number {
  return clock === null ? (wallMs) => wallMs : (wallMs) => clock.startMs + (wallMs - anchorMs) * clock.rate;
}

/**
 * A server that is killed and started again must find the same calendar: the anchor of a planning clock lies beside the
 * store. Without a planning clock there is nothing to keep.
 */
export async function settleAnchor(config: BallastConfig, given: number | null): Promise<number> {
  if (config.clock === null) return Date.now();
  const file = `${config.store.sqlite}.anchor`;
  if (given === null) {
    const kept = Number(await readFile(file, "utf8").catch(() => ""));
    if (Number.isFinite(kept) && kept > 0) return kept;
  }
  const anchorMs = given ?? Date.now();
  // With a store elsewhere this may be the first file that the server writes here.
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${anchorMs}\n`);
  return anchorMs;
}
