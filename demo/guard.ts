import { createInterface } from "node:readline";

/**
 * Ends the demo's processes when the demo itself is killed and cannot. It reads `+PID` and `-PID` lines from its parent; when the
 * pipe closes, which it also does by SIGKILL of the parent, it kills what is still listed. Envoy needs this most: it watches nobody.
 */
const pids = new Set<number>();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const pid = Number(line.slice(1));
    if (!Number.isInteger(pid) || pid <= 1) return;
    if (line.startsWith("+")) pids.add(pid);
    else pids.delete(pid);
  })
  .on("close", () => {
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended before its parent could take it off the list.
      }
    }
    process.exit(0);
  });
