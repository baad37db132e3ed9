import { buildTable } from "../table/build.ts";
import { makeSet } from "../table/set.ts";
import type { TableSet } from "../table/table.ts";

/** A set of real tables for tests: `shares[service]` is the first of two targets' share in ppm. */
export function testSet(shares: Record<string, number>, slots = 256): TableSet {
  return makeSet(
    Object.entries(shares).map(([service, ppm]) => {
      const target = (name: string, share: number) => ({
        name: `${service}-${name}`,
        basePpm: share,
        weightPpm: share,
        stickyPpm: share,
        draining: false,
      });
      const targets = [target("a", ppm), target("b", 1_000_000 - ppm)];
      return buildTable({ service, observe: false, slots, targets, previous: null }).encoded;
    }),
  );
}
