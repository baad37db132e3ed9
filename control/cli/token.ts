import { createHash, randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { NAME_PATTERN } from "../config/values.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast token NAME --roles ROLE[,ROLE] [--json]

Makes a bearer token of 256 random bits for NAME, and the line for access.tokenFile that admits it. The token is shown once and is kept
nowhere. Roles: viewer, operator, approver.`;

export const run: Command = async (args, io) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      roles: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const [name = ""] = positionals;
  const roles = values.roles?.split(",") ?? [];
  if (positionals.length !== 1 || !NAME_PATTERN.test(name)) throw new BallastError("USAGE", "token needs one NAME");
  if (roles.length === 0 || roles.some((role) => !["viewer", "operator", "approver"].includes(role))) {
    throw new BallastError("USAGE", `--roles ${values.roles ?? ""}: expected some of viewer, operator, approver`);
  }
  const token = randomBytes(32).toString("base64url");
  const line = `${name} ${roles.join(",")} ${createHash("sha256").update(token).digest("hex")}`;
  if (values.json) io.out(JSON.stringify({ token, line }));
  else {
    io.out(token);
    io.err(`add this line to access.tokenFile (mode 600):\n${line}`);
  }
  return 0;
};
