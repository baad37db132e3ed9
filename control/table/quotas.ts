import { BallastError } from "../../common/errors.ts";
import { PPM } from "../plan/plan.ts";
import { isSlotCount, MAX_TARGETS } from "./limits.ts";

/**
 * Rounds shares to whole slots by the largest remainder (Hamilton's method): every quota is within one slot of its exact
 * value, save that a share above zero always gets at least one slot, taken from the others in proportion.
 *
 * `sharesPpm` are integers ≥ 0 that sum to 1,000,000; the result sums to `slots` exactly. Equal remainders go to the
 * larger share, then to the lower index, so that the same shares always give the same quotas.
 * Throws TABLE_WEIGHTS_INVALID for shares that are not that.
 */
export function quotasOf(sharesPpm: readonly number[], slots: number): number[] {
  checkShares(sharesPpm);
  if (!isSlotCount(slots)) {
    throw new BallastError("TABLE_WEIGHTS_INVALID", `${slots} slots: expected a power of two from 256 to 16384`);
  }
  const quotas = sharesPpm.map(() => 0);
  // Shares below one slot are lifted to one; what is left is divided among the rest, which can push another share below
  // one slot, so repeat. Each round fixes at least one target: at most as many rounds as targets.
  let open = sharesPpm.flatMap((share, i) => (share > 0 ? [i] : []));
  let openSlots = slots;
  let openPpm = PPM;
  for (;;) {
    const small = open.filter((i) => sharesPpm[i]! * openSlots < openPpm);
    if (small.length === 0) break;
    for (const i of small) {
      quotas[i] = 1;
      openPpm -= sharesPpm[i]!;
    }
    openSlots -= small.length;
    open = open.filter((i) => quotas[i] === 0);
  }
  // share × slots ≤ 1.64e10: exact in a double.
  let left = openSlots;
  const remainders: { i: number; remainder: number }[] = [];
  for (const i of open) {
    const exact = sharesPpm[i]! * openSlots;
    quotas[i] = Math.floor(exact / openPpm);
    left -= quotas[i]!;
    remainders.push({ i, remainder: exact % openPpm });
  }
  remainders.sort((a, b) => b.remainder - a.remainder || sharesPpm[b.i]! - sharesPpm[a.i]! || a.i - b.i);
  for (let k = 0; k < left; k++) quotas[remainders[k]!.i]! += 1;
  return quotas;
}

function checkShares(sharesPpm: readonly number[]): void {
  if (sharesPpm.length === 0 || sharesPpm.length > MAX_TARGETS) {
    throw new BallastError("TABLE_WEIGHTS_INVALID", `${sharesPpm.length} targets: expected 1 to ${MAX_TARGETS}`);
  }
  let sum = 0;
  for (const [i, share] of sharesPpm.entries()) {
    if (!Number.isInteger(share) || share < 0) {
      throw new BallastError("TABLE_WEIGHTS_INVALID", `share ${i} is ${share} ppm: expected an integer ≥ 0`);
    }
    sum += share;
  }
  if (sum !== PPM) {
    throw new BallastError("TABLE_WEIGHTS_INVALID", `the shares sum to ${sum} ppm: expected exactly ${PPM}`);
  }
}
