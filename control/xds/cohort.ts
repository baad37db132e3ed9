import { xxh64 } from "../../common/xxh64.ts";
import type { TableSet } from "../table/table.ts";

/**
 * Part of a fleet that gets an epoch's set before the others. An epoch with a cohort has two sets: its own for the nodes of the
 * cohort, and `rest` for all others. Every node knows one digest for the epoch, since its place never changes.
 */
export interface Cohort {
  /** The highest position that belongs to the cohort. */
  upTo: bigint;
  rest: TableSet;
}

/** A set (or two) without an epoch. */
export interface Sets {
  set: TableSet;
  cohort?: Cohort;
}

const END = 2n ** 64n - 1n;

/**
 * The place of a node among 2^64: XXH64 (seed 0) of its node id. Both processes of a hot restart have one place, and a node that
 * joins in the middle of a rollout has its place without being asked.
 */
export function positionOf(nodeId: string): bigint {
  return xxh64(Buffer.from(nodeId));
}

/** What a node at this position gets. */
export function setAt({ set, cohort }: Sets, position: bigint): TableSet {
  return cohort === undefined || position <= cohort.upTo ? set : cohort.rest;
}

/** The cohort's end when the first `count` of these nodes shall be in it; the end of all positions when that is every node. */
export function cohortOf(nodeIds: Iterable<string>, count: number): bigint {
  const positions = [...new Set(nodeIds)].map(positionOf).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return count >= positions.length ? END : positions[Math.max(0, count - 1)]!;
}
