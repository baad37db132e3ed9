import { BallastError } from "../../common/errors.ts";

const MAX_DEPTH = 32;

/**
 * One text per value, so that a hash of the text names the value: JSON without spaces, keys in order of their UTF-16 units,
 * numbers and strings as ECMAScript writes them (the rules of RFC 8785). Properties that are undefined are left out.
 * Throws CHECKPOINT_INVALID for what JSON cannot carry: numbers that are not finite, bigints, undefined in a list.
 */
export function canonicalJson(value: unknown): string {
  return write(value, "$", 0);
}

function write(value: unknown, path: string, depth: number): string {
  if (depth > MAX_DEPTH) throw invalid(path, `is nested deeper than ${MAX_DEPTH}`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw invalid(path, `is ${value}`);
      return JSON.stringify(value);
    case "object": {
      if (value === null) return "null";
      if (Array.isArray(value)) {
        return `[${value.map((item, i) => write(item, `${path}[${i}]`, depth + 1)).join(",")}]`;
      }
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) throw invalid(path, "is not a plain object");
      const parts: string[] = [];
      for (const key of Object.keys(value).sort()) {
        const item = (value as Record<string, unknown>)[key];
        if (item !== undefined) parts.push(`${JSON.stringify(key)}:${write(item, `${path}.${key}`, depth + 1)}`);
      }
      return `{${parts.join(",")}}`;
    }
    default:
      throw invalid(path, `is a ${typeof value}`);
  }
}

function invalid(path: string, what: string): BallastError {
  return new BallastError("CHECKPOINT_INVALID", `${path} ${what}`);
}
