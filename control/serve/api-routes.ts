import type { z } from "zod";
import { BallastError } from "../../common/errors.ts";
import { stateOf } from "../checkpoint/chain.ts";
import { type ApiPorts, route } from "./api-route.ts";
import * as schema from "./api-schemas.ts";
import { ApiAnswer, type ApiRoute } from "./api-server.ts";
import { freezeRoutes } from "./freeze-routes.ts";
import { metricsOf } from "./metrics.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "./metrics-text.ts";
import { modelRoutes } from "./model-routes.ts";
import { openApiDocument } from "./openapi.ts";
import { readyChecks } from "./readiness.ts";
import { owedView, pendingView, statusView } from "./status.ts";

export type { ApiPorts } from "./api-route.ts";
export type { StatusView } from "./status.ts";

const HISTORY_LIMIT = 50;
const MAX_HISTORY_LIMIT = 1000;

/** The operations of docs/reference/api.md, in its order. */
export function apiRoutes(ports: ApiPorts): readonly ApiRoute[] {
  const routes = [
    ...operations(ports),
    ...reading(ports),
    ...changing(ports),
    ...freezeRoutes(ports),
    ...modelRoutes(ports),
  ];
  const document = openApiDocument(routes);
  routes.push(
    route({
      method: "GET",
      path: "/openapi.json",
      summary: "This document",
      role: null,
      body: null,
      answer: null,
      handle: () => new ApiAnswer(200, "application/json", `${JSON.stringify(document)}\n`),
    }),
  );
  return routes;
}

function operations(ports: ApiPorts): ApiRoute[] {
  return [
    route({
      method: "GET",
      path: "/healthz",
      summary: "The process runs",
      role: null,
      body: null,
      answer: schema.HealthAnswer,
      handle: () => ({ status: "ok" }),
    }),
    route({
      method: "GET",
      path: "/readyz",
      summary: "200 when this server leads and can steer, else 503 with the checks that fail",
      role: null,
      body: null,
      answer: schema.ReadyAnswer,
      otherAnswers: { 503: { schema: schema.ReadyAnswer, description: "not ready" } },
      handle: () => {
        const checks = readyChecks(ports, ports.confirmedAgoMs(), ports.leaseTtlMs);
        const ready = checks.every(({ ok }) => ok);
        return new ApiAnswer(
          ready ? 200 : 503,
          "application/json",
          `${JSON.stringify({ ready, role: "leader", checks })}\n`,
        );
      },
    }),
    route({
      method: "GET",
      path: "/metrics",
      summary: "Metrics in the text format of Prometheus",
      role: "viewer",
      body: null,
      answer: null,
      handle: () => new ApiAnswer(200, METRICS_CONTENT_TYPE, metricsText(metricsOf(ports, ports.confirmedAgoMs()))),
    }),
  ];
}

function reading(ports: ApiPorts): ApiRoute[] {
  const { store, changes } = ports;
  return [
    route({
      method: "GET",
      path: "/v1/status",
      summary: "What is in force, why, and what needs a person",
      role: "viewer",
      body: null,
      answer: schema.StatusAnswer,
      handle: () => statusView(ports),
    }),
    route({
      method: "GET",
      path: "/v1/history",
      summary: "Entries of the log, newest first; `limit` (1 to 1000, default 50), `before` (a sequence number)",
      role: "viewer",
      body: null,
      answer: schema.HistoryAnswer,
      query: {
        limit: { schema: schema.HistoryLimit, description: "entries, default 50" },
        before: { schema: schema.Seq, description: "only entries before this sequence number" },
      },
      handle: async ({ query }) => {
        const limit = whole(query.get("limit") ?? String(HISTORY_LIMIT), "limit", MAX_HISTORY_LIMIT);
        const before = query.get("before");
        const from = before === null ? {} : { fromSeq: whole(before, "before") - 1 };
        return { entries: await store.history({ newestFirst: true, limit, ...from }) };
      },
    }),
    route({
      method: "GET",
      path: "/v1/epochs/{epoch}",
      summary: "Everything that the log says of one epoch",
      role: "viewer",
      body: null,
      answer: schema.EpochAnswer,
      handle: async ({ params }) => {
        const epoch = whole(params.epoch!, "epoch");
        const entries = await store.history({ epoch, limit: MAX_HISTORY_LIMIT });
        if (entries.length === 0) throw new BallastError("EPOCH_NOT_FOUND", `the log has no epoch ${epoch}`);
        const state = entries.map(({ body }) => stateOf(body)).findLast((one) => one !== null) ?? "reserved";
        return { epoch, state, entries };
      },
    }),
    route({
      method: "GET",
      path: "/v1/changes",
      summary: "Changes that wait for approval, and approvals that are owed",
      role: "viewer",
      body: null,
      answer: schema.ChangesAnswer,
      handle: () => ({ pending: pendingView(ports), owed: owedView(ports) }),
    }),
    route({
      method: "POST",
      path: "/v1/diff",
      summary: "What a change would do: weights, slots, sessions, type. Changes nothing",
      role: "viewer",
      body: schema.DiffBody,
      answer: schema.DiffAnswer,
      handle: ({ body, caller }) => {
        const author = caller.name ?? body.author ?? "diff";
        const preview = changes.preview({ ...requestOf(body.services), author, reason: "diff" });
        return {
          changeType: preview.changeType,
          services: preview.services,
          verdicts: preview.verdicts,
          frozen: [...preview.freezes].flatMap(([service, { frozen, text }]) => (frozen ? [{ service, text }] : [])),
          rollout: { ...preview.rollout, nodes: [...preview.rollout.nodes] },
        };
      },
    }),
  ];
}

function changing(ports: ApiPorts): ApiRoute[] {
  const { changes, store, xds, desk, term } = ports;
  return [
    route({
      method: "POST",
      path: "/v1/changes",
      summary: "Propose weights or a mode: in force when inside the bounds, else it waits for an approver",
      role: "operator",
      body: schema.ChangeBody,
      answer: schema.ChangeAnswer,
      handle: ({ body, actor }) =>
        changes.propose({
          ...requestOf(body.services),
          author: actor(body.author),
          reason: body.reason,
          ...(body.breakGlass === undefined ? {} : { breakGlass: body.breakGlass }),
          ...(body.ticket === undefined ? {} : { ticket: body.ticket }),
        }),
    }),
    route({
      method: "POST",
      path: "/v1/changes/{epoch}/approve",
      summary: "Approve a change that waits, or give the approval that an emergency owes",
      role: "approver",
      body: schema.ApproveBody,
      answer: schema.ApproveAnswer,
      handle: ({ body, params, actor }) => {
        const epoch = whole(params.epoch!, "epoch");
        // Where the policy says so, a change is approved by its ticket and nowhere else.
        ports.tickets?.demandApproved(ports.desk.state.pending.find((change) => change.epoch === epoch));
        return changes.approve({
          epoch,
          by: actor(body.by),
          ...(body.reason === undefined ? {} : { reason: body.reason }),
          ...(body.breakGlass === undefined ? {} : { breakGlass: body.breakGlass }),
        });
      },
    }),
    route({
      method: "POST",
      path: "/v1/changes/{epoch}/refuse",
      summary: "Refuse a change that waits",
      role: "approver",
      body: schema.RefuseBody,
      answer: schema.StateAnswer,
      handle: async ({ body, params, actor }) => {
        await changes.refuse({ epoch: whole(params.epoch!, "epoch"), by: actor(body.by), reason: body.reason });
        return { state: "refused" };
      },
    }),
    route({
      method: "POST",
      path: "/v1/rollback",
      summary: "A new epoch with the tables of an earlier one (default: the one before); the planner holds",
      role: "operator",
      body: schema.RollbackBody,
      answer: schema.RollbackAnswer,
      handle: async ({ body, actor }) => {
        const inForce = await changes.rollback({
          author: actor(body.author),
          reason: body.reason,
          ...(body.force === undefined ? {} : { force: body.force }),
          ...(body.epoch === undefined ? {} : { epoch: body.epoch }),
        });
        return { epoch: inForce.epoch, tablesOf: inForce.record.rollbackOf, held: desk.state.held };
      },
    }),
    route({
      method: "POST",
      path: "/v1/kill-switch",
      summary: "On: every Envoy goes by its own static weights, and the planner holds. Off: a normal change",
      role: "operator",
      body: schema.KillSwitchBody,
      answer: schema.ChangeAnswer,
      handle: ({ body, actor }) => changes.killSwitch({ on: body.on, author: actor(body.author), reason: body.reason }),
    }),
    route({
      method: "POST",
      path: "/v1/resume",
      summary: "The planner acts again: after a rollback, or on services that a person's weights hold",
      role: "operator",
      body: schema.ResumeBody,
      answer: schema.ResumeAnswer,
      handle: async ({ body, actor }) => {
        await changes.resume({
          author: actor(body.author),
          ...(body.services === undefined ? {} : { services: body.services }),
        });
        return { held: desk.state.held };
      },
    }),
    route({
      method: "POST",
      path: "/v1/epoch/adopt",
      summary: "Let the store go on above the highest epoch that the fleet holds",
      role: "operator",
      body: schema.AdoptBody,
      answer: schema.AdoptAnswer,
      handle: async ({ body, actor }) => {
        const { epoch } = await store.head();
        const adopted = await store.reserve(epoch, {
          holder: actor(body.author),
          term,
          atLeast: xds.fleet.highestHeld(),
        });
        xds.fleet.raiseReserved(adopted);
        return { reservedEpoch: adopted };
      },
    }),
  ];
}

function requestOf(services: z.infer<typeof schema.DiffBody>["services"]) {
  return {
    services: services.map(({ name, weightsPpm, mode }) => ({
      name,
      ...(weightsPpm === undefined ? {} : { weightsPpm }),
      ...(mode === undefined ? {} : { mode }),
    })),
  };
}

function whole(text: string, what: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= max)) {
    throw new BallastError("API_BAD_REQUEST", `${what}: expected a whole number from 1 to ${max}`);
  }
  return value;
}
