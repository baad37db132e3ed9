import { BallastError } from "../../common/errors.ts";
import { type ApiPorts, route } from "./api-route.ts";
import * as schema from "./api-schemas.ts";
import type { ApiRoute } from "./api-server.ts";
import type { ModelDesk } from "./model-desk.ts";
import type { RiskDesk } from "./risk-desk.ts";

/** The models that forecast, of demand and of change risk. */
export function modelRoutes({ models, changes }: ApiPorts): ApiRoute[] {
  const risk = (): RiskDesk => {
    if (models.risk !== null) return models.risk;
    throw new BallastError("MODEL_REFUSED", "ballast.yaml names no riskModel");
  };
  return [
    ...lifeOf("/v1/model", "model", schema.ModelAnswer, () => models.demand, changes),
    ...lifeOf("/v1/risk-model", "change-risk model", schema.RiskModelAnswer, risk, changes),
  ];
}

function lifeOf(
  path: string,
  what: string,
  answer: typeof schema.ModelAnswer | typeof schema.RiskModelAnswer,
  desk: () => ModelDesk | RiskDesk,
  changes: ApiPorts["changes"],
): ApiRoute[] {
  return [
    route({
      method: "GET",
      path,
      summary: `The ${what} that answers, its drift, the candidate beside it and how the two compare`,
      role: "viewer",
      body: null,
      answer,
      handle: () => desk().view(),
    }),
    route({
      method: "POST",
      path: `${path}/shadow`,
      summary: `Let the ${what} of a folder answer beside the active one, to be scored on what then happens`,
      role: "operator",
      body: schema.ShadowBody,
      answer,
      handle: async ({ body, actor }) => {
        const { folder, reason } = body;
        await desk().life.shadow({ folder, author: actor(body.author), reason });
        return desk().view();
      },
    }),
    route({
      method: "POST",
      path: `${path}/promote`,
      summary: "Propose the candidate, which its scores must allow: a normal change, approved by somebody else",
      role: "operator",
      body: schema.ModelBody,
      answer: schema.ChangeAnswer,
      handle: ({ body, actor }) => desk().life.promote(changes, { author: actor(body.author), reason: body.reason }),
    }),
    route({
      method: "POST",
      path: `${path}/rollback`,
      summary: `Return to the former ${what} at once; the approval is owed`,
      role: "operator",
      body: schema.ModelBody,
      answer: schema.ModelRollbackAnswer,
      handle: ({ body, actor }) => desk().life.rollback(changes, { author: actor(body.author), reason: body.reason }),
    }),
    route({
      method: "POST",
      path: `${path}/retire`,
      summary: "End the candidate's part",
      role: "operator",
      body: schema.ModelBody,
      answer,
      handle: async ({ body, actor }) => {
        await desk().life.retire({ author: actor(body.author), reason: body.reason });
        return desk().view();
      },
    }),
  ];
}
