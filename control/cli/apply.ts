import { parseArgs } from "node:util";
import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { callApi } from "./api-client.ts";
import { author } from "./author.ts";
import { CHANGE_USAGE, readChange } from "./change-request.ts";
import type { Command, Io } from "./io.ts";
import { wallTime } from "./print-change.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast apply FILE | --service NAME [--weights LIST] [--mode MODE] --reason TEXT
                     [--break-glass] [--ticket NUMBER] [--author NAME] [--config FILE | --server HOST:PORT] [--json]

Proposes weights or a mode. Inside the bounds of changeControl.standard they are in force when this returns; outside they wait for
\`ballast approve\` by somebody else (exit 0 too). The planner leaves these services alone until \`ballast resume\`.
${CHANGE_USAGE}
--break-glass  goes out in a freeze; recorded, and its approval is owed`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      service: { type: "string" },
      weights: { type: "string" },
      mode: { type: "string" },
      reason: { type: "string" },
      "break-glass": { type: "boolean", default: false },
      ticket: { type: "string" },
      author: { type: "string" },
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
  if (values.reason === undefined) throw new BallastError("USAGE", "a change needs --reason");
  const services = await readChange(positionals[0], values);
  const answer = (await callApi(await serverAddress(values), "POST", "/v1/changes", {
    services,
    reason: values.reason,
    ...author(values.author),
    ...(values["break-glass"] ? { breakGlass: true } : {}),
    ...(values.ticket === undefined ? {} : { ticket: values.ticket }),
  })) as z.infer<typeof schema.ChangeAnswer>;
  if (values.json) io.out(JSON.stringify(answer));
  else printChangeAnswer(answer, io);
  return 0;
};

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
