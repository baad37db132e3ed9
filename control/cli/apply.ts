import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { author } from "./author.ts";
import { CHANGE_USAGE, readChange } from "./change-request.ts";
import type { Io } from "./io.ts";
import { wallTime } from "./print-change.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast apply FILE | --service NAME [--weights LIST] [--mode MODE] --reason TEXT
                     [--break-glass] [--ticket NUMBER] [--author NAME] [--config FILE | --server HOST:PORT] [--json]

Proposes weights or a mode. Inside the bounds of changeControl.standard they are in force when this returns; outside they wait for
\`ballast approve\` by somebody else (exit 0 too). The planner leaves these services alone until \`ballast resume\`.
${CHANGE_USAGE}
--break-glass  goes out in a freeze; recorded, and its approval is owed`;

export const run = serverCommand(
  {
    usage: USAGE,
    flags: {
      service: { type: "string" },
      weights: { type: "string" },
      mode: { type: "string" },
      reason: { type: "string" },
      "break-glass": { type: "boolean", default: false },
      ticket: { type: "string" },
      author: { type: "string" },
    },
    positionals: true,
  },
  async ({ values, positionals, call, io }) => {
    if (values.reason === undefined) throw new BallastError("USAGE", "a change needs --reason");
    const services = await readChange(positionals[0], values);
    const answer = (await call("POST", "/v1/changes", {
      services,
      reason: values.reason,
      ...author(values.author),
      ...(values["break-glass"] ? { breakGlass: true } : {}),
      ...(values.ticket === undefined ? {} : { ticket: values.ticket }),
    })) as z.infer<typeof schema.ChangeAnswer>;
    if (values.json) io.out(JSON.stringify(answer));
    else printChangeAnswer(answer, io);
  },
);

export function printChangeAnswer(answer: z.infer<typeof schema.ChangeAnswer>, io: Io): void {
  if (answer.state === "active") {
    const { epoch, changeType, steps, nodes } = answer;
    const on = nodes === null ? "" : ` on ${nodes.ahead} of ${nodes.of} nodes`;
    const way = steps === 1 ? "" : `: step 1 of ${steps}${on}, the others follow (ballast status)`;
    io.out(`epoch ${epoch} is active (${changeType} change)${way}`);
    return;
  }
  io.out(
    `change ${answer.epoch} waits for an approver until ${wallTime(answer.expiresAtMs)} (ballast approve ${answer.epoch} --by NAME)`,
  );
  for (const { text } of answer.outside) io.out(`  outside the bounds: ${text}`);
}
