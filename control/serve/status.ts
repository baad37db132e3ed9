import type { z } from "zod";
import type { Clock } from "../../common/clock.ts";
import { overdue } from "../change/approvals.ts";
import type { Exemption, FreezeWindow } from "../change/freeze.ts";
import type { BallastConfig } from "../config/config.ts";
import type { Estate } from "../estate/estate.ts";
import type { Forecaster } from "../forecast/forecaster.ts";
import type { TicketFollower } from "../tickets/follow.ts";
import type { XdsServer } from "../xds/server.ts";
import type * as schema from "./api-schemas.ts";
import type { ChangeDesk } from "./change-desk.ts";
import type { ControlLoop } from "./control-loop.ts";
import type { EpochWriter } from "./epoch-writer.ts";

/** What status, metrics and readiness look at. */
export interface StatusPorts {
  config: BallastConfig;
  clock: Clock;
  wallMs: () => number;
  estate: Estate;
  loop: ControlLoop;
  writer: EpochWriter;
  desk: ChangeDesk;
  forecaster: Pick<Forecaster, "status">;
  xds: Pick<XdsServer, "fleet" | "streams">;
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
    tickets: (ports.tickets?.status() ?? null) as unknown as StatusView["tickets"],
    server: xds.fleet.status(),
    nodes: xds.fleet.nodes() as unknown as StatusView["nodes"],
    estate: { digest: estate.digest, findings: estate.findings.length },
    forecast: forecaster.status() as unknown as StatusView["forecast"],
    unreachable: (loop.telemetry?.unreachable ?? []) as unknown as StatusView["unreachable"],
    services: [...(inForce?.last.values() ?? [])].map(({ plan }) => {
      const next = loop.planned.get(plan.name);
      const forecast = loop.forecasts.get(plan.name);
      return {
        name: plan.name,
        mode: plan.mode,
        why: plan.why,
        alarm: next?.alarm ?? null,
        forecast:
          forecast === undefined ? null : { source: forecast.source, fallbackReasons: [...forecast.fallbackReasons] },
        targets: plan.targets.map(({ name, basePpm, weightPpm, stickyPpm, draining, causes }) => ({
          name,
          basePpm,
          weightPpm,
          stickyPpm,
          draining,
          causes: [...causes],
          live: (loop.telemetry?.targets.get(name) ??
            null) as StatusView["services"][number]["targets"][number]["live"],
        })),
      };
    }),
  };
}

/** What needs a person now. */
export function alarmsOf({ desk, loop, writer, xds, wallMs }: StatusPorts): string[] {
  const alarms: string[] = [];
  for (const { epoch, why, dueMs } of overdue(desk.state, wallMs())) {
    alarms.push(
      `APPROVAL_OVERDUE: epoch ${epoch} (${why}) should have been approved by ${new Date(dueMs).toISOString()}`,
    );
  }
  for (const [name, { alarm }] of loop.planned) if (alarm !== undefined) alarms.push(`PLAN: ${name}: ${alarm}`);
  if (writer.failed !== null) alarms.push(`NOT_RELEASED: ${writer.failed.reason}`);
  if (writer.inForce?.record.mode === "passthrough") alarms.push("PASSTHROUGH: the kill switch is on");
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
