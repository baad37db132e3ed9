/** The folder of a training's intermediate files, which one training at a time has and empties. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { LockHeld, makerLock } from "./maker-lock.ts";
import { mustBeWritable, unfit } from "./model-folder.ts";

const MARK = "BALLAST_TRAINING.txt";
const LOCK = "training.lock";
/** What a training begins by deleting. */
const DELETED = ["files", "made"];

/**
 * Takes the folder, which is made where it is not there and given back when the result is disposed of. Throws TRAIN_FOLDER_UNFIT where it holds
 * what a training would delete and none left there; TRAIN_BUSY while another process trains in it.
 */
export async function takeWorkFolder(path: string): Promise<AsyncDisposable> {
  await mustBeWritable(path);
  const names = await readdir(path);
  // Before there was a mark, files that were whole had a spec beside them.
  const strange =
    names.includes(MARK) || (await holdsSpec(path)) ? undefined : DELETED.find((name) => names.includes(name));
  if (strange !== undefined)
    throw unfit(path, `holds ${strange}/, which no training left there and which this one would delete`);
  const lock = await makerLock(join(path, LOCK), 0).catch((cause: unknown) => {
    if (!(cause instanceof LockHeld)) throw cause;
    throw new BallastError("TRAIN_BUSY", `process ${cause.pid} trains in ${resolve(path)}`, { cause });
  });
  await writeFile(
    join(path, MARK),
    "Intermediate files of `ballast train`. An interrupted run goes on from them; else they may be deleted.\n",
  );
  return lock;
}

async function holdsSpec(path: string): Promise<boolean> {
  return (await readFile(join(path, "files/spec.json")).catch(() => null)) !== null;
}
