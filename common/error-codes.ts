/**
 * The one table of operating-error codes. A code never changes its meaning and is never reused.
 * `exit` is the exit code of the CLI when the error ends a command; `hint` is the default "what to do".
 * docs/reference/errors.md has a section for each; a test keeps the two in step.
 */
export const ERROR_CODES = {
  USAGE: { exit: 2, hint: "Run `ballast help` for the commands and their flags." },
  INTERNAL: { exit: 70, hint: "This is a fault in Ballast. Report it with the text above." },
} as const satisfies Record<string, { exit: number; hint: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
