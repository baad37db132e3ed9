import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { printChangeAnswer } from "./apply.ts";
import { author } from "./author.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast kill-switch on|off --reason TEXT [--author NAME] [--config FILE | --server HOST:PORT] [--json]

on   every Envoy of the fleet goes by its own static weights at once; the planner holds, and an approval is owed
off  steering again: a normal change, which somebody else must approve; then \`ballast resume\` lets the planner act
Envoy's own runtime switch works without this server (envoy/README.md).`;

export const run = serverCommand(
  { usage: USAGE, flags: { reason: { type: "string" }, author: { type: "string" } }, positionals: true },
  async ({ values, positionals, call, io }) => {
    const [word, ...rest] = positionals;
    if ((word !== "on" && word !== "off") || rest.length > 0) throw new BallastError("USAGE", "kill-switch on or off");
    if (values.reason === undefined) throw new BallastError("USAGE", "the kill switch needs --reason");
    const answer = (await call("POST", "/v1/kill-switch", {
      on: word === "on",
      reason: values.reason,
      ...author(values.author),
    })) as z.infer<typeof schema.ChangeAnswer>;
    if (values.json) io.out(JSON.stringify(answer));
    else printChangeAnswer(answer, io);
  },
);
