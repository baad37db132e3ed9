import { PARALLEL, type Rig, SESSIONS } from "./rig.ts";
import type { Row } from "./rows.ts";

const PICKS = 2 * SESSIONS;
/** 70 % of 2,048 picks: an honest random split lies within 61 of it 99.99 times in 100; 160 leaves room for a hash of few keys. */
const EXPECTED_SHARE = 0.7;
const MAX_OFF = 160;

/**
 * Makes sure that a row does its job before it is timed: all to the first target, 70/30, or 70/30 with the second request of
 * every session on the same target as the first. Throws with what was seen instead.
 */
export async function checkRow(rig: Rig, row: Row): Promise<void> {
  if (!row.modes.includes("forward")) return;
  const result = await rig.load.closed({ port: rig.port(row, "forward"), count: PICKS, parallel: PARALLEL });
  const seen = `${row.name}: ${result.by.join("/")} of ${PICKS} answers, ${result.bad} not 200`;
  if (result.bad > 0) throw new Error(seen);
  const first = result.by[0] ?? 0;
  if (row.name === "empty") return; // leaves the split to the static route below it
  if (row.expect === "first") {
    if (first !== PICKS) throw new Error(`${seen}; expected all on the first target`);
    return;
  }
  const share = row.share ?? EXPECTED_SHARE;
  if (Math.abs(first - share * PICKS) > MAX_OFF) throw new Error(`${seen}; expected ${share} on the first target`);
  if (row.expect !== "sticky") return;
  const picks = await rig.load.picks();
  const moved = Array.from({ length: SESSIONS }, (_, i) => i).filter((i) => picks[i] !== picks[i + SESSIONS]).length;
  if (moved > 0) throw new Error(`${row.name}: ${moved} of ${SESSIONS} sessions changed target between two requests`);
}
