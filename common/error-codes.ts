/**
 * The one table of operating-error codes. A code never changes its meaning and is never reused.
 * `exit` is the exit code of the CLI when the error ends a command; `http` the status of the API (409 unless given);
 * `hint` is the default "what to do". docs/reference/errors.md has a section for each; a test keeps the two in step.
 */
export const ERROR_CODES = {
  API_BAD_REQUEST: { exit: 2, http: 400, hint: "Send a JSON object as docs/reference/api.md describes it." },
  API_FORBIDDEN: { exit: 3, http: 403, hint: "Call the API from a program, not from a web page." },
  API_NOT_FOUND: { exit: 2, http: 404, hint: "See docs/reference/api.md for the operations." },
  DEMO_FAILED: { exit: 5, hint: "The logs of the demo's processes lie in the folder that the message names." },
  ENVOY_DOWNLOAD_FAILED: {
    exit: 4,
    hint: "Check the network and pip's index settings, or set BALLAST_ENVOY to an Envoy binary with the V8 Wasm runtime.",
  },
  ENVOY_HASH_MISMATCH: {
    exit: 4,
    hint: "Do not use that file. Look for a mirror or proxy that alters packages, or set BALLAST_ENVOY to a binary you trust.",
  },
  ENVOY_NOT_RUNNABLE: {
    exit: 4,
    hint: "Set BALLAST_ENVOY to an Envoy binary for this machine, or unset it to have one fetched.",
  },
  ENVOY_WITHOUT_V8: {
    exit: 4,
    hint: "Use a build with envoy.wasm.runtime.v8: unset BALLAST_ENVOY to have one fetched, or name another binary.",
  },
  EPOCH_NOT_FOUND: { exit: 3, http: 404, hint: "`ballast status` lists the epochs whose tables are still held." },
  INTERNAL: { exit: 70, http: 500, hint: "This is a fault in Ballast. Report it with the text above." },
  NOTHING_TO_ROLL_BACK: { exit: 3, hint: "There is no earlier epoch with other tables." },
  PORT_TAKEN: { exit: 4, hint: "Stop what listens there, or change the port in ballast.yaml." },
  PUSH_FAILED: {
    exit: 5,
    http: 502,
    hint: "The record of the epoch names the nodes and their reasons; traffic is as before.",
  },
  PYTHON_MISSING: {
    exit: 4,
    hint: "Install Python 3.9 or newer with pip, or set BALLAST_ENVOY to an Envoy binary with the V8 Wasm runtime.",
  },
  SERVER_REFUSED: { exit: 3, hint: "The answer of the control server says what to do." },
  SERVER_UNREACHABLE: {
    exit: 4,
    hint: "Start it with `ballast serve` (or `ballast up`), or name its address with --server HOST:PORT.",
  },
  TFX_SETUP_FAILED: {
    exit: 6,
    hint: "The last lines of the failed step are above; run the command again, it goes on where it stopped.",
  },
  TFX_UNSUPPORTED: { exit: 6, hint: "Train on Linux x86-64 with glibc 2.38 or newer, or as root on Debian or Ubuntu." },
  USAGE: { exit: 2, hint: "Run `ballast help` for the commands and their flags." },
} as const satisfies Record<string, { exit: number; http?: number; hint: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
