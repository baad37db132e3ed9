// Why something was refused: a number in the board and in shared data, a word in a NACK.
// Each word has a meaning in filter/README.md; they never change.

import { ascii, putText, putWord } from "./words";

export namespace Reason {
  export const None: u32 = 0;
  export const Malformed: u32 = 1;
  export const SetDigest: u32 = 2;
  export const SetEmpty: u32 = 3;
  export const SetOrder: u32 = 4;
  export const SetName: u32 = 5;
  export const SetTooLarge: u32 = 6;
  export const EpochStale: u32 = 7;
  export const EpochReused: u32 = 8;
  export const SetUnknown: u32 = 9;
  export const TableMagic: u32 = 10;
  export const TableVersion: u32 = 11;
  export const TableLength: u32 = 12;
  export const TableDigest: u32 = 13;
  export const TableFlags: u32 = 14;
  export const TableSlots: u32 = 15;
  export const TableTargets: u32 = 16;
  export const TableName: u32 = 17;
  export const TableDuplicate: u32 = 18;
  export const TableQuota: u32 = 19;
  export const TableIndex: u32 = 20;
  export const TableService: u32 = 21;
  export const ValueMissing: u32 = 22;
  export const ModeUnknown: u32 = 23;
  export const SeedQuarantined: u32 = 24;
  export const HandoverFailed: u32 = 25;
}
export const REASONS: u32 = 26;

// In the order of the numbers above; from TableMagic to TableService without what these begin with.
const TABLE: usize = ascii("TABLE_");
const WORDS: usize = ascii(
  "OK|MALFORMED|SET_DIGEST|SET_EMPTY|SET_ORDER|SET_NAME|SET_TOO_LARGE|EPOCH_STALE|EPOCH_REUSED|SET_UNKNOWN|MAGIC|VERSION|LENGTH|DIGEST|FLAGS|SLOTS|TARGETS|NAME|DUPLICATE|QUOTA|INDEX|SERVICE|VALUE_MISSING|MODE_UNKNOWN|SEED_QUARANTINED|HANDOVER_FAILED",
);

export function putReason(to: usize, reason: u32): usize {
  if (reason - Reason.TableMagic <= Reason.TableService - Reason.TableMagic) to = putText(to, TABLE);
  return putWord(to, WORDS, reason);
}
