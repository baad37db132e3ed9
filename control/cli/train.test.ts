import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { run } from "./train.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-train-cli-"));
after(() => rm(scratch, { recursive: true, force: true }));
const load = join(scratch, "load.csv");
await writeFile(load, "time,api\n2026-03-02T00:00:00Z,5\n2026-03-02T00:05:00Z,6\n");
const signals = join(scratch, "signals.csv");
await writeFile(signals, "signal,service,start,end,value,known_at\n");

/** Everything is refused before an environment is made or a file written. */
async function refused(args: string[], what: RegExp): Promise<void> {
  const lines: string[] = [];
  const io = { out: (line: string) => void lines.push(line), err: (line: string) => void lines.push(line) };
  await assert.rejects(run(["--pipeline", "tfx", "--history", load, ...args], io as Parameters<typeof run>[1]), what);
}

describe("ballast train", () => {
  test("refuses a group that is none, and one that has no data here", async () => {
    await refused(["--groups", "weather"], /USAGE: --groups weather: expected calendar, coupling/);
    await refused(["--groups", "calendar,coupling"], /USAGE: --groups coupling: there is no data for it here/);
    await refused(
      ["--groups", "signals", "--signals", signals],
      /USAGE: --groups signals: there is no data for it here/,
    );
  });

  test("refuses files and zones that cannot be read", async () => {
    await refused(["--time-zone", "Mars/Olympus"], /USAGE: --time-zone Mars\/Olympus/);
    await refused(["--holidays", signals], /COVARIATE_INVALID: .*signals\.csv:1: no column date/);
    await refused(["--access-log", `api=${load}`], /COVARIATE_INVALID: .*3 of 3 lines are no request/);
    await refused([join(scratch, "absent.parquet")], /HISTORY_INVALID/);
    await refused([scratch], /HISTORY_INVALID: .*: is no file/);
    await refused(["--estate", join(scratch, "none")], /ESTATE_UNREADABLE: .*none/);
  });

  test("takes several files behind one --history, and refuses a service that two of them have", async () => {
    await refused([load], /HISTORY_INVALID: .*load\.csv: has service api, which an earlier file has too/);
    const io = { out: () => {}, err: () => {} } as unknown as Parameters<typeof run>[1];
    await assert.rejects(run(["--pipeline", "tfx", load], io), /USAGE: unexpected argument/);
  });
});
