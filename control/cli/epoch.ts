import { parseArgs } from "node:util";
import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { callApi } from "./api-client.ts";
import { author } from "./author.ts";
import type { Command } from "./io.ts";
import { serverAddress } from "./server-address.ts";

const USAGE = `usage: ballast epoch adopt [--author NAME] [--config FILE | --server HOST:PORT] [--json]

For EPOCH_BEHIND_FLEET: the fleet holds a higher epoch than the store has ever given out, since the store was restored from an older
copy. Lets the store go on above the highest epoch that a node has reported; until then nothing is pushed. Look first whether the
server has the right store: what another store committed since is not in this one. The nodes' weights stay until the next epoch.`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
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
  const [what, ...rest] = positionals;
  if (what !== "adopt" || rest.length > 0) throw new BallastError("USAGE", "epoch adopt");
  const answer = (await callApi(await serverAddress(values), "POST", "/v1/epoch/adopt", {
    ...author(values.author),
  })) as z.infer<typeof schema.AdoptAnswer>;
  io.out(
    values.json
      ? JSON.stringify(answer)
      : `the store goes on above epoch ${answer.reservedEpoch}; \`ballast status\` shows when the fleet is served again`,
  );
  return 0;
};
