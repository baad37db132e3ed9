import { overdue } from "../change/approvals.ts";
import { PPM } from "../plan/plan.ts";
import { capacityMetrics } from "./capacity-metrics.ts";
import type { Metric } from "./metrics-text.ts";
import { modelMetrics } from "./model-metrics.ts";
import { leaderMetric } from "./standby.ts";
import { alarmsOf, type StatusPorts } from "./status.ts";

const SECOND = 1000;
const seconds = (ms: number | null): number | null => (ms === null ? null : ms / SECOND);

/** Every metric of the control server; docs/reference/metrics.md names them all. Times in seconds, shares from 0 to 1. */
export function metricsOf(ports: StatusPorts, confirmedAgoMs: number): Metric[] {
  const { writer, loop, desk, xds, clock, wallMs, term, forecaster, models } = ports;
  const { counts, inForce } = writer;
  const nodes = xds.fleet.nodes();
  const server = xds.fleet.status();
  const nodeState = (node: (typeof nodes)[number]): string =>
    !node.connected ? "gone" : node.quarantine !== null ? "quarantined" : node.current ? "active" : "behind";
  const gauge = (name: string, help: string, value: number | null): Metric => ({
    name,
    help,
    type: "gauge",
    samples: [{ value }],
  });
  const labelled = (
    name: string,
    help: string,
    type: Metric["type"],
    label: string,
    values: Iterable<[string, number]>,
  ): Metric => ({
    name,
    help,
    type,
    samples: [...values].map(([key, value]) => ({ labels: { [label]: key }, value })),
  });
  const states = new Map([
    ["active", 0],
    ["behind", 0],
    ["quarantined", 0],
    ["gone", 0],
  ]);
  for (const node of nodes) states.set(nodeState(node), states.get(nodeState(node))! + 1);
  const sources = new Map<string, number>();
  for (const { source } of loop.forecasts.values()) sources.set(source, (sources.get(source) ?? 0) + 1);
  const held = new Map([
    ["freeze", 0],
    ["operator", 0],
    ["approval", 0],
    ["rollout", 0],
  ]);
  for (const { restraint } of loop.heldBack) held.set(restraint.kind, held.get(restraint.kind)! + 1);
  const plannedMs = loop.plannedAtMonotonicMs;
  return [
    gauge("ballast_epoch", "Epoch in force; 0 before the first.", inForce?.epoch ?? 0),
    leaderMetric(true),
    gauge("ballast_term", "Fencing token of this server's lease.", term),
    gauge(
      "ballast_store_confirmed_age_seconds",
      "Time since the head of the store was confirmed.",
      confirmedAgoMs / SECOND,
    ),
    labelled(
      "ballast_epochs_total",
      "Epochs put in force since the start, by type of change.",
      "counter",
      "type",
      Object.entries(counts.committed),
    ),
    {
      name: "ballast_epochs_not_released_total",
      help: "Epochs refused or aborted since the start.",
      type: "counter",
      samples: [{ value: counts.notReleased }],
    },
    {
      name: "ballast_rounds_total",
      help: "Rounds over the fleet since the start, by phase and result.",
      type: "counter",
      samples: [...counts.rounds].map(([key, value]) => {
        const [phase, result] = key.split(" ") as [string, string];
        return { labels: { phase, result }, value };
      }),
    },
    {
      name: "ballast_nacks_total",
      help: "Refusals by nodes in rounds since the start.",
      type: "counter",
      samples: [{ value: counts.nacks }],
    },
    gauge("ballast_stage_seconds", "Time that the fleet took to prove the last epoch.", seconds(counts.lastStageMs)),
    gauge(
      "ballast_activate_seconds",
      "Time that the fleet took to use the last epoch.",
      seconds(counts.lastActivateMs),
    ),
    gauge(
      "ballast_activation_skew_seconds",
      "From the first to the last node that used the last epoch.",
      seconds(counts.lastSkewMs),
    ),
    labelled(
      "ballast_nodes",
      "Nodes by state: active (uses the epoch in force), behind, quarantined, gone.",
      "gauge",
      "state",
      states,
    ),
    gauge("ballast_streams", "Open xDS streams.", xds.streams()),
    gauge(
      "ballast_xds_serving",
      "1 while the fleet is served, 0 while the server is silent or behind.",
      server.state === "serving" ? 1 : 0,
    ),
    gauge(
      "ballast_plan_age_seconds",
      "Time since the newest plan was made.",
      plannedMs === null ? null : (clock.monotonicMs() - plannedMs) / SECOND,
    ),
    labelled("ballast_forecast_services", "Services by the source of their forecast.", "gauge", "source", sources),
    gauge("ballast_model_ready", "1 while the forecast model answers.", forecaster.status().model === "ready" ? 1 : 0),
    ...modelMetrics(models),
    gauge(
      "ballast_planner_held",
      "1 while the planner holds after a rollback or kill switch.",
      desk.state.held ? 1 : 0,
    ),
    labelled("ballast_services_held_back", "Services whose plan stays back, by reason.", "gauge", "reason", held),
    gauge("ballast_changes_pending", "Changes that wait for an approver.", desk.state.pending.length),
    gauge("ballast_approvals_owed", "Emergencies whose approval is owed.", desk.state.owed.length),
    gauge("ballast_approvals_overdue", "Owed approvals whose time has run out.", overdue(desk.state, wallMs()).length),
    gauge("ballast_rollouts", "Changes on their way through the fleet.", ports.rollouts.views.length),
    labelled(
      "ballast_rollout_step",
      "Present step of each change in flight, by the epoch that began it.",
      "gauge",
      "unit",
      ports.rollouts.views.map(({ flight }): [string, number] => [String(flight.id), flight.step + 1]),
    ),
    gauge(
      "ballast_bake_remaining_seconds",
      "Longest remaining bake, on the planning clock.",
      seconds(Math.max(0, ...ports.rollouts.views.map(({ bakeLeftMs }) => bakeLeftMs))),
    ),
    gauge(
      "ballast_services_rolled_back",
      "Services that the planner leaves alone since an automatic rollback.",
      ports.rollouts.state.blocks.filter(({ holds }) => holds).length,
    ),
    {
      name: "ballast_automatic_rollbacks_total",
      help: "Automatic rollbacks since the start.",
      type: "counter",
      samples: [{ value: counts.automaticRollbacks }],
    },
    gauge(
      "ballast_steer_mismatches",
      "Services whose requests do not go where their set says.",
      ports.steerGuard.mismatches.length,
    ),
    gauge("ballast_alarms", "Alarms that need a person.", alarmsOf(ports).length),
    labelled(
      "ballast_covariate_fresh",
      "Whether a source of feature groups can be used: 1 as its files have it or as it was read before, 0 stale or missing.",
      "gauge",
      "source",
      ports.covariates.view().map(({ source, state }) => [source, state === "ok" || state === "kept" ? 1 : 0]),
    ),
    {
      name: "ballast_target_share",
      help: "Share of a service's requests that a target gets.",
      type: "gauge",
      samples: [...(inForce?.last.values() ?? [])].flatMap(({ plan }) =>
        plan.targets.map((target) => ({
          labels: { service: plan.name, target: target.name },
          value: target.weightPpm / PPM,
        })),
      ),
    },
    ...capacityMetrics(ports),
  ];
}
