import type { z } from "zod";
import type * as schema from "../serve/api-schemas.ts";
import { printChangeAnswer } from "./apply.ts";
import { approver } from "./author.ts";
import { epochArgument } from "./epoch-argument.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast approve EPOCH --by NAME [--reason TEXT] [--break-glass] [--config FILE | --server HOST:PORT] [--json]

Approves a change that waits, or gives the approval that an emergency owes. NAME must not be the author; with a token or certificate
--by may be left out. A change that no longer fits what is in force is refused.
--break-glass  carries it out in a freeze; needs --reason`;

export const run = serverCommand(
  {
    usage: USAGE,
    flags: { by: { type: "string" }, reason: { type: "string" }, "break-glass": { type: "boolean", default: false } },
    positionals: true,
  },
  async ({ values, positionals, call, io }) => {
    const epoch = epochArgument(positionals);
    const answer = (await call("POST", `/v1/changes/${epoch}/approve`, {
      ...approver(values.by),
      ...(values.reason === undefined ? {} : { reason: values.reason }),
      ...(values["break-glass"] ? { breakGlass: true } : {}),
    })) as z.infer<typeof schema.ApproveAnswer>;
    if (values.json) io.out(JSON.stringify(answer));
    else if (answer.state === "approved") io.out(`epoch ${answer.epoch} is approved afterwards`);
    else printChangeAnswer(answer, io);
  },
);
