import { runSeed } from "./scenario.ts";

export interface SeedRange {
  first: number;
  /** At most so many seeds … */
  count: number;
  /** … and none begun after so many seconds. */
  seconds: number;
}

export interface Summary {
  first: number;
  seeds: number;
  /** What happened, by name, over all seeds. */
  happened: Record<string, number>;
}

/** BALLAST_RACE_SEED=n repeats one seed, BALLAST_RACE_SEEDS=n runs n of them from BALLAST_RACE_FIRST (default 1) on. */
export function rangeFromEnv(defaultSeconds: number): SeedRange {
  const number = (name: string): number | undefined => {
    const text = process.env[name];
    if (text === undefined || text === "") return undefined;
    if (!/^\d+$/.test(text)) throw new Error(`${name}=${text}: expected a whole number`);
    return Number(text);
  };
  const only = number("BALLAST_RACE_SEED");
  if (only !== undefined) return { first: only, count: 1, seconds: Number.POSITIVE_INFINITY };
  const first = number("BALLAST_RACE_FIRST") ?? 1;
  const count = number("BALLAST_RACE_SEEDS");
  return count === undefined
    ? { first, count: Number.POSITIVE_INFINITY, seconds: defaultSeconds }
    : { first, count, seconds: Number.POSITIVE_INFINITY };
}

/** Runs seeds in a row; the first that fails is named in the error. */
export async function runSeeds(module: WebAssembly.Module, range: SeedRange): Promise<Summary> {
  const happened: Record<string, number> = {};
  const add = (name: string, count: number): void => {
    happened[name] = (happened[name] ?? 0) + count;
  };
  const startMs = performance.now();
  let seeds = 0;
  for (; seeds < range.count && performance.now() - startMs < range.seconds * 1_000; seeds++) {
    const seed = range.first + seeds;
    try {
      const { counts, mishaps, nacks } = await runSeed(module, seed);
      for (const part of [counts, mishaps]) for (const [name, count] of Object.entries(part)) add(name, count);
      for (const nack of nacks) add(/[A-Z]+_[A-Z_]+/.exec(nack)?.[0] ?? nack, 1);
    } catch (cause) {
      throw new Error(`seed ${seed} failed; BALLAST_RACE_SEED=${seed} repeats it`, { cause });
    }
  }
  return { first: range.first, seeds, happened };
}
