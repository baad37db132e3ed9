import { userInfo } from "node:os";
import { parseArgs } from "node:util";
import { callApi } from "./api-client.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast resume [--author NAME] [--config FILE | --server HOST:PORT]

Lets the planner act again after a rollback.`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      author: { type: "string", default: userInfo().username },
      config: { type: "string", default: "demo/ballast.yaml" },
      server: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  await callApi(await serverAddress(values), "POST", "/v1/resume", { author: values.author });
  io.out("the planner acts again");
  return 0;
};
