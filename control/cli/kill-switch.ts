import { parseArgs } from "node:util";
import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { callApi } from "./api-client.ts";
import { printChangeAnswer } from "./apply.ts";
import { author } from "./author.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast kill-switch on|off --reason TEXT [--author NAME] [--config FILE | --server HOST:PORT] [--json]

on   every Envoy of the fleet goes by its own static weights at once; the planner holds, and an approval is owed
off  steering again: a normal change, which somebody else must approve; then \`ballast resume\` lets the planner act
Envoy's own runtime switch works without this server (envoy/README.md).`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      reason: { type: "string" },
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
  const [word, ...rest] = positionals;
  if ((word !== "on" && word !== "off") || rest.length > 0) throw new BallastError("USAGE", "kill-switch on or off");
  if (values.reason === undefined) throw new BallastError("USAGE", "the kill switch needs --reason");
  const answer = (await callApi(await serverAddress(values), "POST", "/v1/kill-switch", {
    on: word === "on",
    reason: values.reason,
    ...author(values.author),
  })) as z.infer<typeof schema.ChangeAnswer>;
  if (values.json) io.out(JSON.stringify(answer));
  else printChangeAnswer(answer, io);
  return 0;
};
