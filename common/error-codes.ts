/**
 * The one table of operating-error codes. A code never changes its meaning and is never reused.
 * `exit` is the exit code of the CLI when the error ends a command; `http` the status of the API (409 unless given);
 * `hint` is the default "what to do". docs/reference/errors.md has a section for each; a test keeps the two in step.
 */
export const ERROR_CODES = {
  API_BAD_REQUEST: { exit: 2, http: 400, hint: "Send a JSON object as docs/reference/api.md describes it." },
  API_FORBIDDEN: { exit: 3, http: 403, hint: "Call the API from a program, not from a web page." },
  API_NOT_FOUND: { exit: 2, http: 404, hint: "See docs/reference/api.md for the operations." },
  EPOCH_NOT_FOUND: { exit: 3, http: 404, hint: "`ballast status` lists the epochs whose tables are still held." },
  INTERNAL: { exit: 70, http: 500, hint: "This is a fault in Ballast. Report it with the text above." },
  NOTHING_TO_ROLL_BACK: { exit: 3, hint: "There is no earlier epoch with other tables." },
  PORT_TAKEN: { exit: 4, hint: "Stop what listens there, or change the port in ballast.yaml." },
  PUSH_FAILED: { exit: 5, http: 502, hint: "The record of the epoch names the nodes and their reasons; traffic is as before." },
  SERVER_REFUSED: { exit: 3, hint: "The answer of the control server says what to do." },
  SERVER_UNREACHABLE: { exit: 4, hint: "Start it with `ballast serve` (or `ballast up`), or name its address with --server HOST:PORT." },
  USAGE: { exit: 2, hint: "Run `ballast help` for the commands and their flags." },
} as const satisfies Record<string, { exit: number; http?: number; hint: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
