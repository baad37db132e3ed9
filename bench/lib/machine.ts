import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

/** One line on the machine, for the head of a result table. */
export function describeMachine(): string {
  const cores = cpus();
  return `${cores.length} × ${cores[0]?.model.trim() ?? "unknown CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

export function envoyVersion(binary: string): string {
  return (
    /version: \S*\/(\d+\.\d+\.\d+)\/\S+\/(\w+)/
      .exec(execFileSync(binary, ["--version"], { encoding: "utf8" }))
      ?.slice(1)
      .join(" ") ?? "unknown"
  );
}

/** Share of the last seconds in which other processes kept the cores busy is not known; the load average at least is. */
export function loadAverage(): string {
  return execFileSync("cat", ["/proc/loadavg"], { encoding: "utf8" }).split(" ").slice(0, 3).join(" ");
}
