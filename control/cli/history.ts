import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import type { Entry } from "../checkpoint/chain.ts";
import { callApi } from "./api-client.ts";
import { entryLine } from "./entry-line.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast history [--limit N] [--before SEQ] [--config FILE | --server HOST:PORT] [--json]

Shows the newest entries of the log (default 20, at most 1000), newest first. \`ballast audit show EPOCH\` has all of one epoch.`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      limit: { type: "string", default: "20" },
      before: { type: "string" },
      config: { type: "string", default: "demo/ballast.yaml" },
      server: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  for (const [flag, text] of Object.entries({ limit: values.limit, before: values.before ?? "1" })) {
    if (!/^[1-9]\d{0,14}$/.test(text))
      throw new BallastError("USAGE", `--${flag} ${text}: expected a whole number from 1`);
  }
  const query = `limit=${values.limit}${values.before === undefined ? "" : `&before=${values.before}`}`;
  const { entries } = (await callApi(await serverAddress(values), "GET", `/v1/history?${query}`)) as {
    entries: Entry[];
  };
  if (values.json) io.out(JSON.stringify({ entries }));
  else for (const entry of entries) io.out(entryLine(entry));
  return 0;
};
