import { ERROR_CODES, type ErrorCode } from "./error-codes.ts";

/** Where in a file (or record) the fault lies. Lines and columns count from 1. */
export interface Position {
  file: string;
  line?: number;
  column?: number;
  /** Path inside the document, for example `services.payments.targets[1].base`. */
  path?: string;
}

/**
 * An operating error: something outside the program is wrong and a person (or a caller) can act on it.
 * Broken invariants are not this: they throw a plain `Error` at once.
 *
 * `message` starts with the stable code; `hint` says what to do. Each code has a section in docs/reference/errors.md.
 */
export class BallastError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly position: Position | undefined;

  constructor(code: ErrorCode, what: string, options: { position?: Position; hint?: string; cause?: unknown } = {}) {
    const at = options.position === undefined ? "" : `${formatPosition(options.position)}: `;
    super(`${code}: ${at}${what}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "BallastError";
    this.code = code;
    this.hint = options.hint ?? ERROR_CODES[code].hint;
    this.position = options.position;
  }

  /** Wraps an unknown throw once, at a boundary; a BallastError passes through unchanged. */
  static from(cause: unknown, code: ErrorCode): BallastError {
    if (cause instanceof BallastError) return cause;
    return new BallastError(code, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

export function formatPosition(position: Position): string {
  const { file, line, column, path } = position;
  const place = line === undefined ? file : column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
  return path === undefined ? place : `${place} (${path})`;
}
