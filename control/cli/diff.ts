import type { z } from "zod";
import type * as schema from "../serve/api-schemas.ts";
import { CHANGE_USAGE, readChange } from "./change-request.ts";
import { printServiceDiff } from "./print-change.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast diff FILE | --service NAME [--weights LIST] [--mode MODE] [--config FILE | --server HOST:PORT] [--json]

Shows what a change would do against what is in force: weights, slots, share of sessions that change their target, whether it
would be approved by rule, and in which steps it would go.
${CHANGE_USAGE}
Exit 0 when it would go out by rule, 1 when it needs an approver or is frozen.`;

export const run = serverCommand(
  {
    usage: USAGE,
    flags: { service: { type: "string" }, weights: { type: "string" }, mode: { type: "string" } },
    positionals: true,
  },
  async ({ values, positionals, call, io }) => {
    const services = await readChange(positionals[0], values);
    const diff = (await call("POST", "/v1/diff", { services })) as z.infer<typeof schema.DiffAnswer>;
    if (values.json) io.out(JSON.stringify(diff));
    else {
      io.out(`${diff.changeType} change`);
      for (const service of diff.services) printServiceDiff(service, io.out);
      for (const { ok, text } of diff.verdicts) if (!ok) io.out(`  outside the bounds: ${text}`);
      for (const { service, text } of diff.frozen) io.out(`  ${service} is ${text}`);
      const { nodes, of, bakeMs } = diff.rollout;
      io.out(
        `  goes in ${nodes.length} step${nodes.length === 1 ? "" : "s"}, on ${nodes.join(", ")} of ${of} nodes, each watched for ${bakeMs / 1000} s`,
      );
    }
    return diff.changeType === "standard" && diff.frozen.length === 0 ? 0 : 1;
  },
);
