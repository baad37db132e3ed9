import { z } from "zod";
import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { Estate } from "../estate/estate.ts";
import type { Forecaster } from "../forecast/forecaster.ts";
import type { XdsServer } from "../xds/server.ts";
import type { ApiHandler } from "./api-server.ts";
import type { ControlLoop } from "./control-loop.ts";

export interface ApiPorts {
  config: BallastConfig;
  clock: Clock;
  estate: Estate;
  loop: ControlLoop;
  forecaster: Pick<Forecaster, "status">;
  store: CheckpointStore;
  xds: Pick<XdsServer, "fleet" | "streams">;
  term: number;
}

const HISTORY_LIMIT = 50;
const NAME = z.string().trim().min(1).max(128);
const RollbackBody = z.strictObject({
  epoch: z.int().min(1).optional(),
  author: NAME,
  reason: z.string().trim().min(1).max(1000),
});
const ResumeBody = z.strictObject({ author: NAME });

/** The operations of docs/reference/api.md. */
export function apiRoutes(ports: ApiPorts): Record<string, ApiHandler> {
  const { loop, store, xds } = ports;
  return {
    "GET /healthz": () => ({ status: "ok" }),
    "GET /v1/status": () => status(ports),
    "GET /v1/history": async () => ({ entries: await store.history({ newestFirst: true, limit: HISTORY_LIMIT }) }),
    "POST /v1/rollback": async (body) => {
      const request = parse(RollbackBody, body);
      const { author, reason } = request;
      const inForce = await loop.rollback({
        author,
        reason,
        ...(request.epoch === undefined ? {} : { epoch: request.epoch }),
      });
      return { epoch: inForce.epoch, tablesOf: inForce.record.rollbackOf, held: loop.held };
    },
    "POST /v1/resume": async (body) => {
      const { author } = parse(ResumeBody, body);
      const epoch = loop.inForce?.epoch ?? null;
      await store.append({ kind: "note", epoch, topic: "resume", detail: { author } }, { term: ports.term });
      loop.resume();
      return { held: loop.held };
    },
    "POST /v1/epoch/adopt": async (body) => {
      const { author } = parse(ResumeBody, body);
      const { epoch } = await store.head();
      const adopted = await store.reserve(epoch, {
        holder: author,
        term: ports.term,
        atLeast: xds.fleet.highestHeld(),
      });
      xds.fleet.raiseReserved(adopted);
      return { reservedEpoch: adopted };
    },
  };
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new BallastError(
    "API_BAD_REQUEST",
    result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
  );
}

export type StatusView = ReturnType<typeof status>;

function status({ config, clock, estate, loop, forecaster, xds, term }: ApiPorts) {
  const { inForce } = loop;
  return {
    fleet: config.fleet,
    now: new Date(clock.nowMs()).toISOString(),
    epoch: inForce?.epoch ?? 0,
    setDigest: inForce?.record.setDigest ?? null,
    term,
    held: loop.held,
    notReleased: loop.refusal,
    server: xds.fleet.status(),
    nodes: xds.fleet.nodes(),
    estate: { digest: estate.digest, findings: estate.findings.length },
    forecast: forecaster.status(),
    unreachable: loop.telemetry?.unreachable ?? [],
    services: [...(inForce?.last.values() ?? [])].map(({ plan }) => {
      const next = loop.planned.get(plan.name);
      const forecast = loop.forecasts.get(plan.name);
      return {
        name: plan.name,
        mode: plan.mode,
        why: plan.why,
        alarm: next?.alarm ?? null,
        forecast:
          forecast === undefined ? null : { source: forecast.source, fallbackReasons: forecast.fallbackReasons },
        targets: plan.targets.map((target) => ({ ...target, live: loop.telemetry?.targets.get(target.name) ?? null })),
      };
    }),
  };
}
