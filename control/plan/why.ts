import type { PlannedService, PlannedTarget } from "./plan.ts";
import { points, shortName } from "./text.ts";

/** At most so many targets are named in the one line; the causes have them all. */
const maxNamed = 3;

/** One line for people: `payments: site-b −40.0 pts: CHG0031007 on db-site-b 09:00–11:30 (pay-app-b → db-site-b)`. */
export function whyLine(plan: PlannedService): string {
  const changes = plan.targets
    .map((target) => ({ target, net: target.weightPpm - target.basePpm }))
    .filter(({ net }) => net < 0)
    .toSorted((a, b) => a.net - b.net);
  const parts = changes.slice(0, maxNamed).map(({ target, net }) => {
    const cause = mainCause(target);
    const more = cause.kind !== "step_limit" && target.causes.some((c) => c.kind === "step_limit") ? ", in steps" : "";
    return `${shortName(target.name, plan.name)} ${points(net)}: ${cause.text}${more}`;
  });
  if (changes.length > maxNamed) parts.push(`and ${changes.length - maxNamed} more`);
  if (parts.length === 0) parts.push(`base weights hold: ${holdText(plan)}`);
  const head = plan.alarm === undefined ? (plan.emergency ? "at once: " : "") : `ALARM ${plan.alarm}: `;
  return `${plan.name}: ${head}${parts.join("; ")}`;
}

/** The cause that took the most from a target that lost. */
function mainCause(target: PlannedTarget): PlannedTarget["causes"][number] {
  return target.causes.reduce((most, c) => (c.effectPpm < most.effectPpm ? c : most));
}

/** What was looked at and found not to call for a move: the largest reason that is held back, else the forecast. */
function holdText(plan: PlannedService): string {
  const causes = plan.targets.flatMap((t) => t.causes);
  const held = causes.filter((c) => c.effectPpm < 0).toSorted((a, b) => a.effectPpm - b.effectPpm)[0];
  const cause = held ?? causes.find((c) => c.kind === "forecast");
  if (cause === undefined) return "nothing calls for a move";
  return cause.text;
}
