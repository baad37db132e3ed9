import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { PPM } from "../plan/plan.ts";
import { decodeTable, tableDigest } from "../table/codec.ts";
import type { EncodedTable } from "../table/table.ts";
import type { Checkpoint } from "./moves.ts";
import { type CheckpointRecord, sha256Hex } from "./record.ts";

/**
 * What a store refuses to make its head, whoever wrote it and whatever was checked before: a set that is empty or names a
 * service twice (TABLE_SET_INVALID), a table that breaks a rule of its format or is not the one that its name says
 * (TABLE_INVALID), a record with blank fields or with shares that are no shares (CHECKPOINT_INVALID), another fleet than that
 * of the epoch in force (FLEET_MISMATCH). Every adapter calls it before it writes. Pure.
 */
export function checkCommit(
  { record }: Checkpoint<"active">,
  tables: readonly EncodedTable[],
  fleetInForce: string | null,
): void {
  if (fleetInForce !== null && record.fleet !== fleetInForce) {
    throw new BallastError(
      "FLEET_MISMATCH",
      `epoch ${record.epoch} is of fleet ${record.fleet}, the store of ${fleetInForce}`,
    );
  }
  checkFields(record);
  if (record.tables.length === 0) throw new BallastError("TABLE_SET_INVALID", "the set has no tables");
  const services = new Set(record.tables.map(({ service }) => service));
  if (services.size !== record.tables.length) {
    throw new BallastError("TABLE_SET_INVALID", "the set names a service twice");
  }
  const named = new Map(record.tables.map((ref) => [ref.digest, ref]));
  for (const { digest, bytes } of tables) {
    const table = decodeTable(bytes);
    const ref = named.get(digestHex(digest));
    if (tableDigest(bytes) !== digest || ref === undefined || ref.sha256 !== sha256Hex(bytes)) {
      throw new BallastError("TABLE_INVALID", `digest: the record names no table with these bytes (${table.service})`);
    }
    if (table.service !== ref.service) {
      throw new BallastError("TABLE_INVALID", `name: the table of ${ref.service} says that it is of ${table.service}`);
    }
  }
  for (const service of record.services) checkShares(service, services);
}

function checkFields(record: CheckpointRecord): void {
  const blank = Object.entries({
    fleet: record.fleet,
    author: record.author.name,
    trigger: record.trigger,
    why: record.why,
    setDigest: record.setDigest,
  }).find(([, text]) => typeof text !== "string" || text.trim() === "");
  if (blank !== undefined) throw new BallastError("CHECKPOINT_INVALID", `${blank[0]} is blank`);
  for (const [name, value] of Object.entries({ epoch: record.epoch, parent: record.parent, term: record.term })) {
    if (!Number.isSafeInteger(value) || value < 0) throw new BallastError("CHECKPOINT_INVALID", `${name} is ${value}`);
  }
}

function checkShares(service: CheckpointRecord["services"][number], known: ReadonlySet<string>): void {
  const fail = (what: string): never => {
    throw new BallastError("CHECKPOINT_INVALID", `${service.name}: ${what}`);
  };
  if (!known.has(service.name)) fail("the set has no table of it");
  const names = new Set(service.targets.map(({ name }) => name));
  if (names.size !== service.targets.length) fail("a target twice");
  for (const column of ["weightPpm", "stickyPpm"] as const) {
    let sum = 0;
    for (const target of service.targets) {
      const share = target[column];
      if (!Number.isSafeInteger(share) || share < 0) fail(`${target.name} has ${column} ${share}`);
      sum += share;
    }
    if (sum !== PPM) fail(`${column} sums to ${sum}`);
  }
}
