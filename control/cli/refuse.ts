import { BallastError } from "../../common/errors.ts";
import { approver } from "./author.ts";
import { epochArgument } from "./epoch-argument.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast refuse EPOCH --by NAME --reason TEXT [--config FILE | --server HOST:PORT] [--json]

Refuses a change that waits for approval. With a token or certificate --by may be left out.`;

export const run = serverCommand(
  { usage: USAGE, flags: { by: { type: "string" }, reason: { type: "string" } }, positionals: true },
  async ({ values, positionals, call, io }) => {
    const epoch = epochArgument(positionals);
    if (values.reason === undefined) throw new BallastError("USAGE", "a refusal needs --reason");
    const answer = await call("POST", `/v1/changes/${epoch}/refuse`, {
      reason: values.reason,
      ...approver(values.by),
    });
    io.out(values.json ? JSON.stringify(answer) : `change ${epoch} is refused`);
  },
);
