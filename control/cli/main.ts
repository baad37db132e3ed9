#!/usr/bin/env -S node --max-semi-space-size=8
import { ERROR_CODES } from "../../common/error-codes.ts";
import { BallastError } from "../../common/errors.ts";
import { type Command, endWhenUnread, type Io, processIo } from "./io.ts";

/** Each command is one file, loaded only when it is asked for: `ballast help` must not pay for gRPC and ONNX. */
const COMMANDS: Record<string, { summary: string; load: () => Promise<{ run: Command }> }> = {
  up: { summary: "run the whole demo on this machine", load: () => import("./up.ts") },
  serve: { summary: "run the control server", load: () => import("./serve.ts") },
  estate: { summary: "check the export: findings, capacities, windows", load: () => import("./estate-check.ts") },
  plan: { summary: "show what would be planned, now or at any time, and why", load: () => import("./plan.ts") },
  diff: { summary: "show what a change would do against what is in force", load: () => import("./diff.ts") },
  apply: { summary: "propose weights or a mode for services", load: () => import("./apply.ts") },
  approve: {
    summary: "approve a change that waits, or give the approval that an emergency owes",
    load: () => import("./approve.ts"),
  },
  refuse: { summary: "refuse a change that waits", load: () => import("./refuse.ts") },
  freeze: { summary: "list, add, lift or break freezes", load: () => import("./freeze.ts") },
  history: { summary: "show the newest entries of the log", load: () => import("./history.ts") },
  "import-history": {
    summary: "load past demand from Prometheus, access logs, CSV or Parquet",
    load: () => import("./import-history.ts"),
  },
  audit: { summary: "verify or export the log, or show one epoch", load: () => import("./audit.ts") },
  status: { summary: "show nodes, epochs and weights of a running server", load: () => import("./status.ts") },
  rollback: {
    summary: "return to the tables of an earlier epoch, as a new epoch",
    load: () => import("./rollback.ts"),
  },
  "kill-switch": {
    summary: "send the whole fleet back to its static weights, or end that",
    load: () => import("./kill-switch.ts"),
  },
  epoch: { summary: "let a store that is behind its fleet go on above it", load: () => import("./epoch.ts") },
  token: { summary: "make a token for the HTTP API", load: () => import("./token.ts") },
  resume: {
    summary: "let the planner act again after a rollback or a person's weights",
    load: () => import("./resume.ts"),
  },
  envoy: { summary: "print what to paste into an Envoy, and check one", load: () => import("./envoy.ts") },
  model: {
    summary: "show the forecast model, try another in shadow, promote or return",
    load: () => import("./model.ts"),
  },
  backtest: { summary: "score forecasts on the end of a series of your own", load: () => import("./backtest.ts") },
  train: { summary: "train the forecast model on a load history", load: () => import("./train.ts") },
  "train-risk": {
    summary: "train the change-risk model on the estate's tickets",
    load: () => import("./train-risk.ts"),
  },
};

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `usage: ballast COMMAND [flags]\n\n${lines.join("\n")}\n\nEvery command takes --help; docs/reference/cli.md has all flags and exit codes.`;
}

/** Set once a command has printed a result: what follows must not be a second JSON document. */
let printed = false;
const io: Io = {
  ...processIo,
  out(text) {
    printed = true;
    processIo.out(text);
  },
};

async function main(argv: string[]): Promise<number> {
  const [name = "help", ...args] = argv;
  if (name === "help" || name === "--help" || name === "-h") {
    io.out(help());
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new BallastError("USAGE", `there is no command "${name}"`);
  const { run } = await command.load();
  try {
    return await run(args, io);
  } catch (thrown) {
    // parseArgs: an unknown flag, or a flag without its value.
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code?.startsWith("ERR_PARSE_ARGS") !== true) throw thrown;
    throw new BallastError("USAGE", (thrown as Error).message, { hint: `Run \`ballast ${name} --help\`.` });
  }
}

if (Number(process.versions.node.split(".")[0]) < 24) {
  process.stderr.write(
    `Ballast needs Node 24 or newer; this is ${process.version}. Run it through npm (npm start, npm run ballast --), which brings its own.\n`,
  );
  process.exitCode = 2;
} else {
  endWhenUnread(process.stdout);
  endWhenUnread(process.stderr);
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (thrown) {
    const error = BallastError.from(thrown, "INTERNAL");
    const { exit } = ERROR_CODES[error.code];
    const text = error === thrown || !(thrown instanceof Error) ? error.message : `INTERNAL: ${thrown.stack}`;
    process.stderr.write(`${text}\n  ${error.hint}\n`);
    if (!printed && process.argv.includes("--json")) {
      const { code, message, hint } = error;
      processIo.out(JSON.stringify({ code, message, hint, exit }));
    }
    process.exitCode = exit;
  }
}
