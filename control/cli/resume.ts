import { parseArgs } from "node:util";
import { callApi } from "./api-client.ts";
import { author } from "./author.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast resume [--services A,B] [--author NAME] [--config FILE | --server HOST:PORT] [--json]

Lets the planner act again: after a rollback or kill switch, and on services that keep a person's weights or were rolled back automatically.
--services  only on these; a hold after a rollback stays`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      services: { type: "string" },
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
  const answer = await callApi(await serverAddress(values), "POST", "/v1/resume", {
    ...author(values.author),
    ...(values.services === undefined ? {} : { services: values.services.split(",").map((name) => name.trim()) }),
  });
  if (values.json) io.out(JSON.stringify(answer));
  else
    io.out(values.services === undefined ? "the planner acts again" : `the planner acts again on ${values.services}`);
  return 0;
};
