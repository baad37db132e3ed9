import { author } from "./author.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast resume [--services A,B] [--author NAME] [--config FILE | --server HOST:PORT] [--json]

Lets the planner act again: after a rollback or kill switch, and on services that keep a person's weights or were rolled back automatically.
--services  only on these; a hold after a rollback stays`;

export const run = serverCommand(
  { usage: USAGE, flags: { services: { type: "string" }, author: { type: "string" } } },
  async ({ values, call, io }) => {
    const answer = await call("POST", "/v1/resume", {
      ...author(values.author),
      ...(values.services === undefined ? {} : { services: values.services.split(",").map((name) => name.trim()) }),
    });
    if (values.json) io.out(JSON.stringify(answer));
    else
      io.out(values.services === undefined ? "the planner acts again" : `the planner acts again on ${values.services}`);
  },
);
