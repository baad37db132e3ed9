import { parseArgs } from "node:util";
import type { z } from "zod";
import type * as schema from "../serve/api-schemas.ts";
import { callApi } from "./api-client.ts";
import { printChangeAnswer } from "./apply.ts";
import { approver } from "./author.ts";
import { epochArgument } from "./epoch-argument.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast approve EPOCH --by NAME [--reason TEXT] [--break-glass] [--config FILE | --server HOST:PORT] [--json]

Approves a change that waits, or gives the approval that an emergency owes. NAME must not be the author; with a token or certificate
--by may be left out. A change that no longer fits what is in force is refused.
--break-glass  carries it out in a freeze; needs --reason`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      by: { type: "string" },
      reason: { type: "string" },
      "break-glass": { type: "boolean", default: false },
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
  const answer = (await callApi(await serverAddress(values), "POST", `/v1/changes/${epoch}/approve`, {
    ...approver(values.by),
    ...(values.reason === undefined ? {} : { reason: values.reason }),
    ...(values["break-glass"] ? { breakGlass: true } : {}),
  })) as z.infer<typeof schema.ApproveAnswer>;
  if (values.json) io.out(JSON.stringify(answer));
  else if (answer.state === "approved") io.out(`epoch ${answer.epoch} is approved afterwards`);
  else printChangeAnswer(answer, io);
  return 0;
};
