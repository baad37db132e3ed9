/** Bounds of weight table version 1, the same in the filter (docs/reference/weight-table.md). */
export const MIN_SLOTS = 256;
export const MAX_SLOTS = 16_384;
export const MAX_TARGETS = 255;
/** Names are cluster names and travel in a header, hence no spaces and no control characters. */
export const NAME_PATTERN = /^[A-Za-z0-9._:|-]{1,128}$/;
const MAX_NAME_BYTES = 128;

/** Largest encoded table: header, names, quotas and both arrays at their limits. Below the 128 KiB of one message. */
export const MAX_TABLE_BYTES = 24 + 2 + MAX_NAME_BYTES + MAX_TARGETS * (2 + MAX_NAME_BYTES + 5) + 2 * MAX_SLOTS;

/** True for a power of two from 256 to 16384. */
export function isSlotCount(slots: number): boolean {
  return Number.isInteger(slots) && slots >= MIN_SLOTS && slots <= MAX_SLOTS && (slots & (slots - 1)) === 0;
}
