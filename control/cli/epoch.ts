import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { author } from "./author.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast epoch adopt [--author NAME] [--config FILE | --server HOST:PORT] [--json]

For EPOCH_BEHIND_FLEET: the fleet holds a higher epoch than the store has ever given out, since the store was restored from an older
copy. Lets the store go on above the highest epoch that a node has reported; until then nothing is pushed. Look first whether the
server has the right store: what another store committed since is not in this one. The nodes' weights stay until the next epoch.`;

export const run = serverCommand(
  { usage: USAGE, flags: { author: { type: "string" } }, positionals: true },
  async ({ values, positionals, call, io }) => {
    const [what, ...rest] = positionals;
    if (what !== "adopt" || rest.length > 0) throw new BallastError("USAGE", "epoch adopt");
    const answer = (await call("POST", "/v1/epoch/adopt", {
      ...author(values.author),
    })) as z.infer<typeof schema.AdoptAnswer>;
    io.out(
      values.json
        ? JSON.stringify(answer)
        : `the store goes on above epoch ${answer.reservedEpoch}; \`ballast status\` shows when the fleet is served again`,
    );
  },
);
