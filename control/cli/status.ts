import type { StatusView } from "../serve/api-routes.ts";
import { percent, printServiceDiff, switchText, wallTime } from "./print-change.ts";
import { serverCommand } from "./server-command.ts";

const USAGE = `usage: ballast status [--config FILE | --server HOST:PORT] [--json]

Shows what a running control server has in force: epoch, nodes, weights and why. Exit 0, or 1 when something needs a person.`;

export const run = serverCommand({ usage: USAGE }, async ({ values, call, io }) => {
  const view = (await call("GET", "/v1/status")) as StatusView;
  if (values.json) io.out(JSON.stringify(view));
  else print(view, io.out);
  return view.alarms.length === 0 && view.changes.pending.length === 0 && view.changes.owed.length === 0 ? 0 : 1;
});

function print(view: StatusView, out: (text: string) => void): void {
  out(
    `fleet ${view.fleet}, epoch ${view.epoch}, ${view.now}${view.held ? ", the planner holds (ballast resume)" : ""}`,
  );
  if (view.server.state !== "serving") out(`the server is ${view.server.state}: ${view.server.reason}`);
  if (view.notReleased !== null) out(`the newest plan is not in force: ${view.notReleased}`);
  for (const alarm of view.alarms) out(`ALARM ${alarm}`);
  printChanges(view.changes, out);
  printRollouts(view.rollouts, out);
  if (view.forecast.model !== "ready") out(`the model is ${view.forecast.model}: ${view.forecast.reason?.text ?? ""}`);
  if (view.risk?.model === "refused")
    out(`the risk model is refused: ${view.risk.reason?.text ?? ""}; the rule answers`);
  for (const { url, reason } of view.unreachable) out(`no telemetry from ${url}: ${reason}`);
  for (const node of view.nodes) {
    const nack = node.lastNack === null ? "" : `, last refusal: ${node.lastNack.reason}`;
    out(
      `node ${node.id} (${node.instance}): ${node.connected ? "connected" : "gone"}, active ${node.activeVersion || "nothing"}${node.quarantine === null ? "" : `, QUARANTINED: ${node.quarantine.reason}`}${nack}`,
    );
  }
  for (const service of view.services) {
    out(`${service.name} (${service.mode}): ${service.why}`);
    if (service.alarm !== null) out(`  ALARM ${service.alarm}`);
    if (service.switch !== null) out(`  ${switchText(service.switch)}`);
    for (const target of service.targets) {
      const live = target.live === null ? "" : `  ${target.live.healthyHosts}/${target.live.totalHosts} hosts healthy`;
      const learnt = target.capacity?.source === "learnt" ? `  capacity ${target.capacity.text}` : "";
      out(
        `  ${target.name.padEnd(24)} base ${percent(target.basePpm)}  planned ${percent(target.weightPpm)}  sessions ${percent(target.stickyPpm)}${live}${learnt}`,
      );
    }
  }
}

function printRollouts({ inFlight, takenBack }: StatusView["rollouts"], out: (text: string) => void): void {
  for (const { unit, epoch, kind, services, step, steps, nodes, of, phase, text } of inFlight) {
    // What had to go at once is only watched: of interest while it is, or when it does badly.
    if (kind === "protective" && services.length === 0) continue;
    const at = epoch === unit ? "" : `, now epoch ${epoch}`;
    out(
      `change ${unit}${at}: ${services.join(", ")}: step ${step} of ${steps} on ${nodes} of ${of} nodes, ${phase}: ${text}`,
    );
  }
  for (const { service, epoch, byEpoch, reason, times, holds } of takenBack) {
    const state = holds ? "held until `ballast resume`" : "planned again";
    out(`${service}: epoch ${epoch} was rolled back automatically by epoch ${byEpoch} (${times}): ${reason}; ${state}`);
  }
}

function printChanges(changes: StatusView["changes"], out: (text: string) => void): void {
  for (const change of changes.pending) {
    out(
      `change ${change.epoch} by ${change.author.name} waits for approval until ${wallTime(change.expiresAtMs)}: ${change.why}`,
    );
    for (const { text } of change.outside) out(`  outside the bounds: ${text}`);
    if (change.frozen.length > 0) out(`  frozen now: ${change.frozen.join(", ")}`);
    for (const service of change.services) printServiceDiff(service, out);
  }
  for (const { epoch, trigger, why, dueMs, overdue } of changes.owed) {
    out(`epoch ${epoch} (${trigger}) owes an approval ${overdue ? "SINCE" : "by"} ${wallTime(dueMs)}: ${why}`);
  }
  for (const freeze of changes.freezes) {
    const services = freeze.services === null ? "all services" : freeze.services.join(", ");
    out(`frozen: ${services} by ${freeze.name} (${freeze.id}) until ${freeze.until}; only what must leave is released`);
  }
  for (const { id, until, by, reason } of changes.exemptions)
    out(`freezes are broken by ${by} until ${until}: ${reason} (${id})`);
  for (const { service, text } of changes.heldBack) out(`held back: ${service}: ${text}`);
}
