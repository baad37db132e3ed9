import { resolve } from "node:path";
import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import type * as schema from "../serve/api-schemas.ts";
import { printChangeAnswer } from "./apply.ts";
import { author } from "./author.ts";
import type { Io } from "./io.ts";
import { printRiskModel, type RiskModelView } from "./risk-model-text.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast model status [--json]
       ballast model shadow DIR --reason TEXT
       ballast model promote --reason TEXT
       ballast model rollback --reason TEXT
       ballast model retire --reason TEXT
       each with [--risk] [--author NAME] [--config FILE | --server HOST:PORT] [--json]

status    the model that forecasts, its drift, and the candidate beside it
shadow    a model of the server's machine forecasts beside the active one and is scored on what then happens
promote   proposes the candidate; it waits for somebody other than the author (ballast approve EPOCH --by NAME)
rollback  returns to the former model at once; the approval is owed
retire    ends the candidate's part
--risk    the model of change risk in place of that of demand`;

const ACTIONS = ["shadow", "promote", "rollback", "retire"] as const;

export const run = serverCommand(
  {
    usage: USAGE,
    flags: { reason: { type: "string" }, author: { type: "string" }, risk: { type: "boolean" } },
    positionals: true,
  },
  async ({ values, positionals, call, io }) => {
    const [what = "status", folder, ...rest] = positionals;
    if (rest.length > 0 || (folder !== undefined) !== (what === "shadow"))
      throw new BallastError(
        "USAGE",
        what === "shadow" ? "model shadow needs one DIR" : `model ${positionals.join(" ")}`,
      );
    const path = values.risk ? "/v1/risk-model" : "/v1/model";
    const show = (view: unknown) => (values.risk ? printRiskModel(view as RiskModelView, io) : print(view as View, io));
    if (what === "status") {
      const view = await call("GET", path);
      if (values.json) io.out(JSON.stringify(view));
      else show(view);
      return;
    }
    if (!ACTIONS.some((action) => action === what)) throw new BallastError("USAGE", `there is no model ${what}`);
    if (values.reason === undefined) throw new BallastError("USAGE", `model ${what} needs --reason`);
    const body = {
      ...author(values.author),
      reason: values.reason,
      // The server may have been started elsewhere.
      ...(folder === undefined ? {} : { folder: resolve(folder) }),
    };
    const answer = await call("POST", `${path}/${what}`, body);
    if (values.json) io.out(JSON.stringify(answer));
    else if (what === "promote") printChangeAnswer(answer as z.infer<typeof schema.ChangeAnswer>, io);
    else if (what === "rollback")
      io.out(`what answered before does so again from epoch ${(answer as { epoch: number }).epoch} on`);
    else show(answer);
  },
);

type View = z.infer<typeof schema.ModelAnswer>;

function print({ active, champion, former, candidate, comparison, rules, alarms }: View, io: Io): void {
  const own = champion === null ? "of ballast.yaml" : "promoted";
  if (active.sha256 === null || active.model === "refused") {
    const { reason } = active as { reason?: { code: string; text: string } | null };
    io.out(`active     no model: baselines answer${reason == null ? "" : ` (${reason.code}: ${reason.text})`}`);
  } else
    io.out(`active     ${active.sha256.slice(0, 12)}  ${active.kind}, ${active.model}, ${own}  ${active.modelDir}`);
  const { drift } = active;
  io.out(`drift      ${drift.verdict} (policy ${drift.policy})${drift.text === null ? "" : `: ${drift.text}`}`);
  for (const one of former.toReversed()) io.out(`former     ${one.sha256.slice(0, 12)}  ${one.kind}  ${one.folder}`);
  if (candidate === null) io.out("candidate  none");
  else io.out(`candidate  ${candidate.sha256.slice(0, 12)}  ${candidate.kind}  ${candidate.folder}`);
  if (comparison !== null) {
    io.out(`           ${comparison.windows} windows scored, ${rules.minWindows} needed; better in ${comparison.won}`);
    const { asked, unanswered, reason } = comparison.asked;
    if (unanswered > 0) io.out(`           no answer ${unanswered} of ${asked} times, the last one for ${reason}`);
    if (comparison.windows > 0) {
      io.out(`           ${"".padEnd(16)}${"MASE".padStart(8)}${"wQL".padStart(10)}   coverage`);
      for (const [name, key] of [
        ["what steers", "active"],
        ["candidate", "candidate"],
        ["seasonal naive", "seasonalNaive"],
      ] as const) {
        const { mase, wql, coverage } = comparison[key];
        const shares = coverage.map((share) => number(share, 3)).join(" ");
        io.out(`           ${name.padEnd(16)}${number(mase, 3).padStart(8)}${number(wql, 4).padStart(10)}   ${shares}`);
      }
    }
    for (const text of comparison.missing) io.out(`           not ready: ${text}`);
    if (comparison.missing.length === 0) io.out("           ready: ballast model promote --reason TEXT");
  }
  for (const alarm of alarms) io.out(`ALARM      ${alarm}`);
}

function number(value: number | null, digits: number): string {
  return value === null || !Number.isFinite(value) ? "-" : value.toFixed(digits);
}
