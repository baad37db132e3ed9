import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { callApi } from "./api-client.ts";
import { approver } from "./author.ts";
import { epochArgument } from "./epoch-argument.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast refuse EPOCH --by NAME --reason TEXT [--config FILE | --server HOST:PORT] [--json]

Refuses a change that waits for approval. With a token or certificate --by may be left out.`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      by: { type: "string" },
      reason: { type: "string" },
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
  const epoch = epochArgument(positionals);
  if (values.reason === undefined) throw new BallastError("USAGE", "a refusal needs --reason");
  const answer = await callApi(await serverAddress(values), "POST", `/v1/changes/${epoch}/refuse`, {
    reason: values.reason,
    ...approver(values.by),
  });
  io.out(values.json ? JSON.stringify(answer) : `change ${epoch} is refused`);
  return 0;
};
