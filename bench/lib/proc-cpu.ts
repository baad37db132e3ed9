import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time that a process has used, in nanoseconds: the first figure of every thread's schedstat (time on a core, user and system
 * together; Documentation/scheduler/sched-stats.rst in the Linux source). /proc/PID/stat counts in ticks of 10 ms, too coarse for a
 * round of a tenth of a second. Threads that have ended are not in it: Envoy keeps its threads.
 */
export function processCpuNs(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ", 1)[0]);
  }
  if (total === 0) throw new Error("this kernel keeps no schedstat");
  return total;
}
