/** Weight table, version 1. Byte layout: docs/reference/weight-table.md; mirrored by filter/assembly/table.ts. */
export interface WeightTableTarget {
  /** Envoy cluster name, `[A-Za-z0-9._:|-]{1,128}`. */
  name: string;
  orderQuota: number;
  stickyQuota: number;
  draining: boolean;
}

export interface WeightTable {
  service: string;
  observe: boolean;
  /** Number of slots M: a power of two, 256 … 16384. */
  slots: number;
  /** 1 … 255 targets. */
  targets: readonly WeightTableTarget[];
  /** Target index per slot; both have M bytes and hit the quotas exactly. */
  sticky: Uint8Array;
  order: Uint8Array;
}

/** An encoded table and its XXH64 digest (seed 0, digest field zeroed). */
export interface EncodedTable {
  service: string;
  digest: bigint;
  bytes: Uint8Array;
}

/** The tables of all services of a fleet; `digest` as in the Stage message. Sorted by service name bytes. */
export interface TableSet {
  digest: bigint;
  tables: readonly EncodedTable[];
}
