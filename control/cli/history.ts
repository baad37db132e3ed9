import { BallastError } from "../../common/errors.ts";
import type { Entry } from "../checkpoint/chain.ts";
import { entryLine } from "./entry-line.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast history [--limit N] [--before SEQ] [--config FILE | --server HOST:PORT] [--json]

Shows the newest entries of the log (default 20, at most 1000), newest first. \`ballast audit show EPOCH\` has all of one epoch.`;

export const run = serverCommand(
  { usage: USAGE, flags: { limit: { type: "string", default: "20" }, before: { type: "string" } } },
  async ({ values, call, io }) => {
    for (const [flag, text] of Object.entries({ limit: values.limit, before: values.before ?? "1" })) {
      if (!/^[1-9]\d{0,14}$/.test(text))
        throw new BallastError("USAGE", `--${flag} ${text}: expected a whole number from 1`);
    }
    const query = `limit=${values.limit}${values.before === undefined ? "" : `&before=${values.before}`}`;
    const { entries } = (await call("GET", `/v1/history?${query}`)) as {
      entries: Entry[];
    };
    if (values.json) io.out(JSON.stringify({ entries }));
    else for (const entry of entries) io.out(entryLine(entry));
  },
);
