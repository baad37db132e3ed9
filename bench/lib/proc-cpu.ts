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
  return total;
}

/** The same from /proc/PID/stat (utime + stime in ticks of 10 ms), to cross-check a whole run. */
export function processCpuTicksNs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000_000;
}
