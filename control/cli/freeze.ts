import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import { duration } from "../config/values.ts";
import type * as schema from "../serve/api-schemas.ts";
import { author } from "./author.ts";
import type { Io } from "./io.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast freeze list [--json]
       ballast freeze add --name NAME --to TIME [--from TIME] [--services A,B] --reason TEXT
       ballast freeze lift ID --reason TEXT
       ballast freeze break --for DURATION [--services A,B] --reason TEXT
       each with [--author NAME] [--config FILE | --server HOST:PORT] [--json]

list   every window of the policy, of the estate's change calendar and of operators; those that are open are marked
add    a freeze from now (or TIME) on; times are on the planning calendar, with their zone: 2026-03-02T18:00:00Z
lift   ends a freeze that was added
break  lets changes pass all freezes for a time (1m to 1d, such as 30m): recorded with who and why`;

const span = duration({ minMs: 60_000, maxMs: 86_400_000, range: "1m to 1d" });

export const run = serverCommand(
  {
    usage: USAGE,
    flags: {
      name: { type: "string" },
      from: { type: "string" },
      to: { type: "string" },
      for: { type: "string" },
      services: { type: "string" },
      reason: { type: "string" },
      author: { type: "string" },
    },
    positionals: true,
  },
  async ({ values, positionals, call, io }) => {
    const [what = "list", id, ...rest] = positionals;
    if (rest.length > 0 || (id !== undefined && what !== "lift"))
      throw new BallastError("USAGE", `freeze ${positionals.join(" ")}`);
    if (what === "list") {
      const list = (await call("GET", "/v1/freezes")) as z.infer<typeof schema.FreezesAnswer>;
      if (values.json) io.out(JSON.stringify(list));
      else print(list, io);
      return;
    }
    if (!["add", "lift", "break"].includes(what)) throw new BallastError("USAGE", `there is no freeze ${what}`);
    const { reason } = values;
    if (reason === undefined) throw new BallastError("USAGE", `freeze ${what} needs --reason`);
    const services =
      values.services === undefined ? {} : { services: values.services.split(",").map((name) => name.trim()) };
    const common = { reason, ...author(values.author) };
    let path = "/v1/freezes";
    let body: object = common;
    let done = "";
    if (what === "add") {
      if (values.name === undefined || values.to === undefined)
        throw new BallastError("USAGE", "freeze add needs --name and --to");
      body = {
        ...common,
        ...services,
        name: values.name,
        to: values.to,
        ...(values.from === undefined ? {} : { from: values.from }),
      };
      done = "added";
    } else if (what === "lift") {
      if (id === undefined) throw new BallastError("USAGE", "freeze lift needs the ID of a freeze");
      path = `/v1/freezes/${encodeURIComponent(id)}/lift`;
      done = "lifted";
    } else {
      const ms = span.parse(values.for ?? "");
      if (ms === undefined) throw new BallastError("USAGE", `--for ${values.for ?? ""}: expected ${span.expected}`);
      path = "/v1/break-glass";
      body = { ...common, ...services, minutes: ms / 60_000 };
      done = "broken";
    }
    const answer = (await call("POST", path, body)) as z.infer<typeof schema.FreezeAnswer>;
    io.out(values.json ? JSON.stringify(answer) : `${answer.id} ${done}`);
  },
);

function print({ freezes, exemptions }: z.infer<typeof schema.FreezesAnswer>, io: Io): void {
  if (freezes.length === 0) io.out("no freeze windows");
  for (const freeze of freezes) {
    const services = freeze.services === null ? "all services" : freeze.services.join(", ");
    const state = freeze.open ? `OPEN until ${freeze.until}` : `not before ${freeze.until}`;
    io.out(
      `${freeze.id}  ${freeze.effect}  ${services}  ${state}  ${freeze.reason}${freeze.by === null ? "" : ` (${freeze.by})`}`,
    );
  }
  for (const { id, services, until, by, reason } of exemptions) {
    io.out(
      `${id}  broken  ${services === null ? "all services" : services.join(", ")}  until ${until}  ${reason} (${by})`,
    );
  }
}
