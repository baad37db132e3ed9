import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { inCi } from "./in-ci.ts";

const VARIABLE = "BALLAST_PROPERTY_SEED";
/** Seeds of fast-check are 32-bit integers with a sign. */
const MAX_SEED = 0x7fff_ffff;

export interface PropertySeed {
  seed: number;
  from: "environment" | "tree" | "chance";
}

/**
 * The seed of all property tests of a run: BALLAST_PROPERTY_SEED; else in CI one that the committed tree decides, so that the same
 * files pass or fail wherever they are tested, while each change tries other values; else one by chance.
 */
export function propertySeed(root: string, env: NodeJS.ProcessEnv): PropertySeed {
  const given = env[VARIABLE];
  if (given !== undefined && given !== "") {
    const seed = Number(given);
    if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED)
      throw new RangeError(`${VARIABLE} is "${given}", not an integer from 0 to ${MAX_SEED}`);
    return { seed, from: "environment" };
  }
  const tree = inCi(env) ? treeHash(root) : null;
  if (tree === null) return { seed: randomInt(MAX_SEED), from: "chance" };
  return { seed: Number.parseInt(tree.slice(0, 8), 16) & MAX_SEED, from: "tree" };
}

/** Hash of the committed tree in hexadecimal; null outside a git checkout. */
function treeHash(root: string): string | null {
  try {
    const printed = execFileSync("git", ["rev-parse", "HEAD^{tree}"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return /^[0-9a-f]{40,64}\n$/.test(printed) ? printed.trim() : null;
  } catch {
    return null;
  }
}
