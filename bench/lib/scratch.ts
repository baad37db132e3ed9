import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();

/** A folder for the files of this run; removed when the process ends, however it ends short of SIGKILL. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ballast-bench-"));
  folders.add(folder);
  return folder;
}

process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
