import type { z } from "zod";
import type { Clock } from "../../common/clock.ts";
import type { CapacityBook } from "../capacity/capacity-book.ts";
import { overdue } from "../change/approvals.ts";
import type { Exemption, FreezeWindow } from "../change/freeze.ts";
import { reshuffleOfSwitch } from "../change/sessions.ts";
import type { BallastConfig } from "../config/config.ts";
import type { Estate } from "../estate/estate.ts";
import type { Forecaster } from "../forecast/forecaster.ts";
import type { PlannedService } from "../plan/plan.ts";
import { isPartial } from "../rollout/flight.ts";
import type { WeightTable } from "../table/table.ts";
import type { TicketFollower } from "../tickets/follow.ts";
import type { XdsServer } from "../xds/server.ts";
import type * as schema from "./api-schemas.ts";
import type { ChangeDesk } from "./change-desk.ts";
import type { RiskBook } from "./change-risk.ts";
import type { ControlLoop } from "./control-loop.ts";
import type { Covariates } from "./covariates.ts";
import type { EpochWriter } from "./epoch-writer.ts";
import type { OpenModels } from "./open-models.ts";
import type { Rollouts } from "./rollouts.ts";
import { mismatchText, STEER_MISMATCH, STEER_RULE, type SteerGuard } from "./steer-guard.ts";

/** What status, metrics and readiness look at. */
export interface StatusPorts {
  config: BallastConfig;
  clock: Clock;
  wallMs: () => number;
  estate: Estate;
  loop: ControlLoop;
  writer: EpochWriter;
  desk: ChangeDesk;
  rollouts: Pick<Rollouts, "state" | "views" | "stuck">;
  forecaster: Pick<Forecaster, "status">;
  covariates: Pick<Covariates, "view" | "alarms">;
  capacities: CapacityBook;
  /** Null: the risk of changes is not looked at. */
  risks: Pick<RiskBook, "status"> | null;
  models: OpenModels;
  xds: Pick<XdsServer, "fleet" | "streams">;
  steerGuard: Pick<SteerGuard, "mismatches">;
  term: number;
  tickets: Pick<TicketFollower, "status" | "demandApproved"> | null;
}

export type StatusView = z.infer<typeof schema.StatusAnswer>;

export function statusView(ports: StatusPorts): StatusView {
  const { config, clock, estate, loop, writer, desk, forecaster, xds, term } = ports;
  const { inForce } = writer;
  const nowMs = clock.nowMs();
  const denies = desk.calendar.windows.filter((window) => {
    const { open } = desk.calendar.occurrence(window, nowMs);
    return window.effect === "deny" ? open !== null : open === null;
  });
  return {
    fleet: config.fleet,
    now: new Date(nowMs).toISOString(),
    epoch: inForce?.epoch ?? 0,
    setDigest: inForce?.record.setDigest ?? null,
    term,
    mode: inForce?.record.mode ?? null,
    held: desk.state.held,
    notReleased: writer.failed?.reason ?? null,
    alarms: alarmsOf(ports),
    changes: {
      pending: pendingView(ports),
      owed: owedView(ports),
      heldBack: loop.heldBack.map(({ service, restraint }) => ({ service, ...restraint })),
      pinned: desk.state.pins.map(({ service, by, epoch }) => ({ service, by, epoch })),
      freezes: denies.map((window) => freezeView(window, ports)),
      exemptions: exemptionsView(ports),
    },
    rollouts: rolloutsView(ports),
    tickets: (ports.tickets?.status() ?? null) as unknown as StatusView["tickets"],
    server: xds.fleet.status(),
    nodes: xds.fleet.nodes() as unknown as StatusView["nodes"],
    estate: { digest: estate.digest, findings: estate.findings.length },
    forecast: {
      ...forecaster.status(),
      covariates: ports.covariates.view(),
    } as unknown as StatusView["forecast"],
    risk: riskView(ports),
    unreachable: (loop.telemetry?.unreachable ?? []) as unknown as StatusView["unreachable"],
    services: [...(inForce?.last.values() ?? [])].map(({ plan }) => {
      const next = loop.planned.get(plan.name);
      const forecast = loop.forecasts.get(plan.name);
      return {
        name: plan.name,
        mode: plan.mode,
        why: plan.why,
        alarm: next?.alarm ?? null,
        switch: switchView(plan, inForce!.tables.get(plan.name)),
        forecast:
          forecast === undefined ? null : { source: forecast.source, fallbackReasons: [...forecast.fallbackReasons] },
        targets: plan.targets.map(({ name, basePpm, weightPpm, stickyPpm, draining, causes }) => ({
          name,
          basePpm,
          weightPpm,
          stickyPpm,
          draining,
          causes: [...causes],
          capacity: capacityView(ports, plan.name, name),
          live: (loop.telemetry?.targets.get(name) ??
            null) as StatusView["services"][number]["targets"][number]["live"],
        })),
      };
    }),
  };
}

/** Before anybody switches a service that is observed to steering: what that will do to its sessions. */
function switchView(plan: PlannedService, table: WeightTable | undefined): StatusView["services"][number]["switch"] {
  if (plan.mode !== "observe" || table === undefined) return null;
  return reshuffleOfSwitch(table, new Map(plan.targets.map(({ name, basePpm }) => [name, basePpm])));
}

function rolloutsView({ rollouts, xds }: StatusPorts): StatusView["rollouts"] {
  const nodes = xds.fleet.nodes();
  const connected = nodes.filter((node) => node.connected);
  return {
    inFlight: rollouts.views.map(({ flight, text, alarm, bakeLeftMs }) => ({
      unit: flight.id,
      epoch: flight.epoch,
      kind: flight.kind,
      services: flight.services.map(({ name }) => name),
      step: flight.step + 1,
      steps: flight.steps,
      nodes: isPartial(flight) ? connected.filter(({ ahead }) => ahead).length : connected.length,
      of: connected.length,
      phase: flight.phase,
      bakeLeftMs,
      text,
      alarm,
    })),
    takenBack: rollouts.state.blocks.map(({ service, epoch, byEpoch, reason, count, holds }) => ({
      service,
      epoch,
      byEpoch,
      reason,
      times: count,
      holds,
    })),
    quarantined: nodes.flatMap(({ id, instance, quarantine }) =>
      quarantine === null ? [] : [{ id, instance, ...quarantine }],
    ),
  };
}

function capacityView(
  { capacities, estate, clock }: StatusPorts,
  service: string,
  name: string,
): z.infer<typeof schema.Capacity> | null {
  const target = estate.services.get(service)?.targets.find((one) => one.name === name);
  if (target === undefined) return null;
  const { rps, source, priorRps, learntAgeMs, text } = capacities.used(target, clock.nowMs());
  return { rps, source, priorRps, learntAgeS: learntAgeMs === null ? null : learntAgeMs / 1000, text };
}

function riskView({ risks }: StatusPorts): StatusView["risk"] {
  if (risks === null) return null;
  const { model, reason, sha256, drift, open, shadow } = risks.status();
  const { verdict, text } = drift;
  return { model, reason, sha256, drift: { verdict, text }, open, candidate: shadow?.sha256 ?? null };
}

/** What needs a person now. */
export function alarmsOf(ports: StatusPorts): string[] {
  const { desk, loop, writer, rollouts, xds, models, covariates, steerGuard, wallMs } = ports;
  const alarms: string[] = [];
  for (const { service, reason, epoch, holds } of rollouts.state.blocks)
    if (holds) alarms.push(`ROLLED_BACK: ${service}: epoch ${epoch}: ${reason}`);
  for (const { flight, alarm } of rollouts.views)
    if (alarm !== null) alarms.push(`OBJECTIVE: epoch ${flight.epoch}: ${alarm}`);
  if (rollouts.stuck !== null) alarms.push(`ROLLBACK_HELD: ${rollouts.stuck}`);
  for (const { id, quarantine } of xds.fleet.nodes())
    if (quarantine !== null) alarms.push(`QUARANTINE: node ${id} passes requests through: ${quarantine.reason}`);
  for (const { epoch, why, dueMs } of overdue(desk.state, wallMs())) {
    alarms.push(
      `APPROVAL_OVERDUE: epoch ${epoch} (${why}) should have been approved by ${new Date(dueMs).toISOString()}`,
    );
  }
  for (const [name, { alarm }] of loop.planned) if (alarm !== undefined) alarms.push(`PLAN: ${name}: ${alarm}`);
  alarms.push(...models.alarms(), ...covariates.alarms());
  if (writer.failed !== null) alarms.push(`NOT_RELEASED: ${writer.failed.reason}`);
  for (const mismatch of steerGuard.mismatches) alarms.push(`${STEER_MISMATCH}: ${mismatchText(mismatch)}`);
  const record = writer.inForce?.record;
  if (record?.mode === "passthrough") {
    alarms.push("PASSTHROUGH: the kill switch is on");
    if (record.author.kind === STEER_RULE.kind && record.author.name === STEER_RULE.name)
      alarms.push(`${STEER_MISMATCH}: ${record.why}`);
  }
  const { state, reason } = xds.fleet.status();
  if (state !== "serving") alarms.push(`XDS: ${state}: ${reason}`);
  return alarms;
}

export function pendingView({ desk }: StatusPorts): StatusView["changes"]["pending"] {
  return desk.state.pending.map(({ record: _record, verdicts, services, ...change }) => ({
    ...change,
    services: services.map(({ pinned: _pinned, ...service }) => ({
      ...service,
      targets: service.targets.map((target) => ({ ...target, causes: [...target.causes] })),
    })),
    outside: verdicts.filter(({ ok }) => !ok),
    frozen: services.map(({ name }) => name).filter((name) => desk.freezeOf(name).frozen),
  }));
}

export function owedView({ desk, wallMs }: StatusPorts): StatusView["changes"]["owed"] {
  return desk.state.owed.map((owed) => ({ ...owed, overdue: owed.dueMs <= wallMs() }));
}

export function freezeView(
  window: FreezeWindow,
  { desk, clock }: Pick<StatusPorts, "desk" | "clock">,
): z.infer<typeof schema.Freeze> {
  const { id, name, source, effect, services, reason, by } = window;
  const { open, untilMs } = desk.calendar.occurrence(window, clock.nowMs());
  return {
    id,
    name,
    source,
    effect,
    services: services === null ? null : [...services],
    reason,
    by: by ?? null,
    open: open !== null,
    until: new Date(untilMs).toISOString(),
  };
}

export function exemptionsView({
  desk,
  clock,
}: Pick<StatusPorts, "desk" | "clock">): StatusView["changes"]["exemptions"] {
  const nowMs = clock.nowMs();
  return desk.state.exemptions.filter(({ untilMs }) => untilMs > nowMs).map(exemptionView);
}

function exemptionView({
  id,
  services,
  fromMs,
  untilMs,
  by,
  reason,
}: Exemption): StatusView["changes"]["exemptions"][number] {
  return {
    id,
    services: services === null ? null : [...services],
    from: new Date(fromMs).toISOString(),
    until: new Date(untilMs).toISOString(),
    by,
    reason,
  };
}
