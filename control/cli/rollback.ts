import { BallastError } from "../../common/errors.ts";
import { author } from "./author.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast rollback [--to EPOCH] --reason TEXT [--author NAME] [--force] [--config FILE | --server HOST:PORT] [--json]

Puts the tables of an earlier epoch (default: the one before) in force as a new epoch. The planner holds until \`ballast resume\`, and somebody
else's approval is owed (\`ballast approve\`). Weights that would send requests to a target that can take none now are refused
(ROLLBACK_UNSAFE); --force sends them all the same, and the record says so.`;

export const run = serverCommand(
  {
    usage: USAGE,
    flags: {
      to: { type: "string" },
      reason: { type: "string" },
      author: { type: "string" },
      force: { type: "boolean", default: false },
    },
  },
  async ({ values, call, io }) => {
    if (values.reason === undefined) throw new BallastError("USAGE", "a rollback needs --reason");
    const epoch = values.to === undefined ? undefined : Number(values.to);
    if (epoch !== undefined && !(Number.isSafeInteger(epoch) && epoch > 0))
      throw new BallastError("USAGE", `--to ${values.to}: expected an epoch`);
    const answer = (await call("POST", "/v1/rollback", {
      ...author(values.author),
      reason: values.reason,
      ...(values.force ? { force: true } : {}),
      ...(epoch === undefined ? {} : { epoch }),
    })) as { epoch: number; tablesOf: number };
    io.out(
      values.json
        ? JSON.stringify(answer)
        : `epoch ${answer.epoch} is active with the tables of epoch ${answer.tablesOf}; the planner holds until \`ballast resume\``,
    );
  },
);
