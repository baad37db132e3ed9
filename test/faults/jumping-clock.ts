import { readFileSync } from "node:fs";

/**
 * For `node --import`: wall time as a machine with a jumping clock tells it, ahead (or behind) by the milliseconds that the file
 * BALLAST_CLOCK_FILE holds now. The monotonic clock does not jump; it is left alone.
 */
const file = process.env.BALLAST_CLOCK_FILE;
if (file !== undefined) {
  const trueNow = Date.now;
  let readAtMs = 0;
  let aheadMs = 0;
  Date.now = () => {
    const now = trueNow();
    // Asked thousands of times a second: the file is read twenty times at most.
    if (now - readAtMs > 50) {
      readAtMs = now;
      try {
        aheadMs = Number(readFileSync(file, "utf8")) || 0;
      } catch {
        aheadMs = 0;
      }
    }
    return now + aheadMs;
  };
}
