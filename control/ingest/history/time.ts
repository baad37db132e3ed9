/** ISO time with its zone. A time without one means another instant on every machine, so it is not taken. */
const ZONED = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/;

/**
 * Milliseconds since 1970, or NaN. Numbers are seconds, milliseconds, microseconds or nanoseconds by their size: each range begins
 * where the smaller unit would mean a day in 1973, so times from 1973 to 5138 are taken rightly.
 */
export function timeMs(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  if (typeof value === "bigint") return fromNumber(Number(value));
  if (typeof value === "number") return fromNumber(value);
  if (typeof value !== "string") return Number.NaN;
  const text = value.trim();
  if (/^\d{1,19}(\.\d{1,9})?$/.test(text)) return fromNumber(Number(text));
  return ZONED.test(text) ? Date.parse(text.replace(" ", "T")) : Number.NaN;
}

function fromNumber(value: number): number {
  if (!(value >= 0)) return Number.NaN;
  if (value < 1e11) return value * 1e3;
  if (value < 1e14) return value;
  return value < 1e17 ? value / 1e3 : value / 1e6;
}
