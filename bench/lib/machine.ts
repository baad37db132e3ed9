import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

/** One line on the machine, for the head of a result table. */
export function describeMachine(): string {
  const cores = cpus();
  return `${cores.length} × ${cores[0]?.model.trim() ?? "unknown CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

export function envoyVersion(binary: string): string {
  const text = execFileSync(binary, ["--version"], { encoding: "utf8" });
  const found = /\/(\d+\.\d+\.\d+)\/[^/\s]+\/(\w+)\//.exec(text);
  return found === null ? "of unknown version" : `${found[1]} ${found[2]}`;
}

/** What else kept the machine busy while a benchmark ran shows here. */
export function loadAverage(): string {
  return execFileSync("cat", ["/proc/loadavg"], { encoding: "utf8" }).split(" ").slice(0, 3).join(" ");
}
