/** One process at a time makes what several of them need, by a file that holds its process id. */
import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 200;

/** A living process holds the lock. */
export class LockHeld extends Error {
  readonly pid: number;

  constructor(pid: number) {
    super(`process ${pid} is making it`);
    this.pid = pid;
  }
}

/**
 * Takes the lock, which is given back when it is disposed of; one whose process is gone is taken over. Waits for a living holder.
 * @param path in a folder that is there
 * @param waitMs after this time LockHeld is thrown; 0 = at once
 */
export async function makerLock(path: string, waitMs: number): Promise<AsyncDisposable> {
  // A link to a file comes with its content, so that no lock is ever seen without its process.
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, String(process.pid));
  try {
    for (let waitedMs = 0; ; ) {
      if (await linked(own, path)) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
      const holder = await readFile(path, "utf8").catch(() => null);
      if (holder === null) continue;
      if (!isAlive(Number(holder))) await rm(path, { force: true });
      else if (waitedMs >= waitMs) throw new LockHeld(Number(holder));
      else {
        await sleep(LOOK_MS);
        waitedMs += LOOK_MS;
      }
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
