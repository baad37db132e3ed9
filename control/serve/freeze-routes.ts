import { randomUUID } from "node:crypto";
import { BallastError } from "../../common/errors.ts";
import type { FreezeWindow } from "../change/freeze.ts";
import { type ApiPorts, route } from "./api-route.ts";
import * as schema from "./api-schemas.ts";
import type { ApiRoute } from "./api-server.ts";
import { exemptionsView, freezeView } from "./status.ts";

/** Freezes, and the glass that is broken over them. */
export function freezeRoutes(ports: ApiPorts): ApiRoute[] {
  const { desk, clock, config } = ports;
  const known = (services: readonly string[] | undefined): string[] | null => {
    const unknown = services?.find((name) => !config.services.has(name));
    if (unknown !== undefined)
      throw new BallastError("API_BAD_REQUEST", `there is no service ${JSON.stringify(unknown)}`);
    return services === undefined ? null : [...services];
  };
  return [
    route({
      method: "GET",
      path: "/v1/freezes",
      summary: "All freeze windows with their next edge, and open break-glasses",
      role: "viewer",
      body: null,
      answer: schema.FreezesAnswer,
      handle: () => ({
        freezes: desk.calendar.windows.map((window) => freezeView(window, ports)),
        exemptions: exemptionsView(ports),
      }),
    }),
    route({
      method: "POST",
      path: "/v1/freezes",
      summary: "Add a freeze",
      role: "operator",
      body: schema.FreezeBody,
      answer: schema.FreezeAnswer,
      handle: async ({ body, actor }) => {
        const fromMs = body.from === undefined ? clock.nowMs() : Date.parse(body.from);
        const toMs = Date.parse(body.to);
        if (!(toMs > fromMs && toMs - fromMs <= 366 * 86_400_000)) {
          throw new BallastError("API_BAD_REQUEST", "to: expected a time after from, within a year");
        }
        const local = (ms: number) => new Date(ms).toISOString().slice(0, 19);
        const window: FreezeWindow = {
          id: `operator:${randomUUID()}`,
          name: body.name,
          source: "operator",
          effect: "deny",
          services: known(body.services),
          schedule: { zone: "UTC", start: local(fromMs), end: local(toMs), repeat: null },
          reason: body.reason,
          by: actor(body.author),
        };
        await desk.addFreeze(window);
        return { id: window.id };
      },
    }),
    route({
      method: "POST",
      path: "/v1/freezes/{id}/lift",
      summary: "Lift a freeze that an operator added",
      role: "operator",
      body: schema.LiftBody,
      answer: schema.FreezeAnswer,
      handle: async ({ body, params, actor }) => {
        await desk.liftFreeze(params.id!, actor(body.author), body.reason);
        return { id: params.id };
      },
    }),
    route({
      method: "POST",
      path: "/v1/break-glass",
      summary: "Let changes pass all freezes for a time; recorded with who and why",
      role: "operator",
      body: schema.BreakBody,
      answer: schema.FreezeAnswer,
      handle: async ({ body, actor }) => {
        const fromMs = clock.nowMs();
        const exemption = {
          id: `break:${randomUUID()}`,
          services: known(body.services),
          fromMs,
          untilMs: fromMs + body.minutes * 60_000,
          by: actor(body.author),
          reason: body.reason,
        };
        await desk.breakGlass(exemption);
        return { id: exemption.id };
      },
    }),
  ];
}
