import type { z } from "zod";
import type * as schema from "../serve/api-schemas.ts";
import type { Io } from "./io.ts";

export type RiskModelView = z.infer<typeof schema.RiskModelAnswer>;

/** What `ballast model status --risk` prints. */
export function printRiskModel(view: RiskModelView, io: Io): void {
  const { active, champion, former, candidate, comparison, rules, alarms } = view;
  const own = champion === null ? "of ballast.yaml" : "promoted";
  const { drift, open } = active;
  if (active.sha256 === null || active.model === "refused")
    io.out(`active     no model: the rule answers (${active.reason?.code}: ${active.reason?.text})`);
  else io.out(`active     ${active.sha256.slice(0, 12)}  change risk, ${active.model}, ${own}  ${active.modelDir}`);
  io.out(`drift      ${drift.verdict} (policy ${drift.policy})${drift.text === null ? "" : `: ${drift.text}`}`);
  const happened = `${drift.happened} targets degraded where ${drift.expected.toFixed(1)} were expected`;
  io.out(`           ${drift.cases} changes and targets scored, ${happened}; ${open} wait for their end`);
  if (drift.brier !== null)
    io.out(`           Brier ${number(drift.brier)}, the base rate ${number(drift.baseRateBrier)}`);
  for (const one of former.toReversed()) io.out(`former     ${one.sha256.slice(0, 12)}  ${one.folder}`);
  if (candidate === null) io.out("candidate  none");
  else io.out(`candidate  ${candidate.sha256.slice(0, 12)}  ${candidate.folder}`);
  if (comparison !== null) {
    io.out(
      `           ${comparison.cases} scored beside what steers, ${rules.minCases} needed; ${comparison.degraded} degraded`,
    );
    if (comparison.cases > 0) {
      io.out(`           ${"".padEnd(16)}${"Brier".padStart(8)}${"PR-AUC".padStart(9)}`);
      for (const [name, key] of [
        ["what steers", "active"],
        ["candidate", "candidate"],
        ["rule", "rule"],
        ["base rate", "baseRate"],
      ] as const) {
        const { brier, prAuc } = comparison[key];
        io.out(`           ${name.padEnd(16)}${number(brier).padStart(8)}${number(prAuc).padStart(9)}`);
      }
      io.out(`           lead ${comparison.z.toFixed(2)} standard errors`);
    }
    for (const text of comparison.missing) io.out(`           not ready: ${text}`);
    if (comparison.missing.length === 0) io.out("           ready: ballast model promote --risk --reason TEXT");
  }
  for (const alarm of alarms) io.out(`ALARM      ${alarm}`);
}

function number(value: number | null): string {
  return value === null ? "-" : value.toFixed(4);
}
