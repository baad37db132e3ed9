import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
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

  test("refuses a folder of results or of intermediate files that is not one of a training, before it trains", async () => {
    const web = join(scratch, "web");
    await mkdir(web);
    await writeFile(join(web, "manifest.json"), '{"name":"a web page"}');
    for (const pipeline of ["tfx", "trees", "demand"])
      await refused(
        ["--pipeline", pipeline, "--out", web],
        /TRAIN_FOLDER_UNFIT: .*web: its manifest\.json is of no model/,
      );
    const out = join(scratch, "out");
    await mkdir(join(web, "files"));
    await refused(["--out", out, "--work", web], /TRAIN_FOLDER_UNFIT: .*web: holds files\/, which no training left/);
    assert.deepEqual(await readdir(out), []);
  });

  test("leaves an estate out that does not fit the demo's configuration, says what to do, and refuses one that does not fit a named one", async () => {
    const estate = join(scratch, "estate");
    await cp("demo/estate", estate, { recursive: true });
    await rm(join(estate, "cmdb_ci_service.json"));
    const lines: string[] = [];
    const io = { out: (line: string) => void lines.push(line), err: (line: string) => void lines.push(line) };
    const flags = ["--pipeline", "trees", "--history", load, "--estate", estate, "--work", join(scratch, "work")];
    await assert.rejects(
      run([...flags, "--out", join(scratch, "o")], io as Parameters<typeof run>[1]),
      /TRAIN_HISTORY_TOO_SHORT/,
    );
    assert.match(
      lines.join("\n"),
      /WITHOUT the estate's coupling, changes and tiers: .*\n.* does not fit demo\/ballast\.yaml; name the ballast\.yaml of its services by --config/,
    );
    await refused(["--estate", estate, "--config", "demo/ballast.yaml"], /ESTATE|CONFIG/);
  });

  test("takes several files behind one --history, and refuses a service that two of them have", async () => {
    await refused([load], /HISTORY_INVALID: .*load\.csv: has service api, which an earlier file has too/);
    const io = { out: () => {}, err: () => {} } as unknown as Parameters<typeof run>[1];
    await assert.rejects(run(["--pipeline", "tfx", load], io), /USAGE: unexpected argument/);
  });
});
