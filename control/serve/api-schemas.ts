import { z } from "zod";
import { CHANGE_TYPE, EPOCH, ServiceDiff, Verdict, WALL } from "./api-fields.ts";

/** Every body and answer of the HTTP API. docs/reference/openapi.json is made of these, and the server's tests hold answers against them. */

export * from "./api-bodies.ts";
export { Capacity, HistoryLimit, Seq } from "./api-fields.ts";
export * from "./model-schemas.ts";
export * from "./status-schemas.ts";

const Entry = z.strictObject({
  seq: z.int(),
  atMs: WALL,
  term: z.int(),
  prevHash: z.string(),
  hash: z.string(),
  body: z.looseObject({ kind: z.enum(["reserve", "checkpoint", "move", "note"]) }),
});
export const HistoryAnswer = z.strictObject({ entries: z.array(Entry) });
export const EpochAnswer = z.strictObject({
  epoch: EPOCH,
  state: z.string().describe("present state; reserved: given out and never recorded"),
  entries: z.array(Entry),
});

export const ChangeAnswer = z.union([
  z.strictObject({
    state: z.literal("active"),
    epoch: EPOCH,
    changeType: CHANGE_TYPE,
    steps: z.int().min(1).describe("of the rollout, of which this epoch is the first"),
    nodes: z
      .strictObject({ ahead: z.int(), of: z.int() })
      .nullable()
      .describe("nodes that have the first step; null: all"),
  }),
  z.strictObject({ state: z.literal("validated"), epoch: EPOCH, expiresAtMs: WALL, outside: z.array(Verdict) }),
]);
export const ApproveAnswer = z.union([
  ...ChangeAnswer.options,
  z.strictObject({ state: z.literal("approved"), epoch: EPOCH }),
]);
export const DiffAnswer = z.strictObject({
  changeType: z.enum(["standard", "normal"]),
  services: z.array(ServiceDiff),
  verdicts: z.array(Verdict),
  frozen: z.array(z.strictObject({ service: z.string(), text: z.string() })),
  rollout: z
    .strictObject({
      nodes: z.array(z.int()).describe("connected nodes that would have each step"),
      of: z.int().describe("connected nodes"),
      bakeMs: z.number().describe("each step is watched for so long, on the planning clock"),
    })
    .describe("the steps that it would go in"),
});
export const RollbackAnswer = z.strictObject({ epoch: EPOCH, tablesOf: EPOCH, held: z.boolean() });
export const ResumeAnswer = z.strictObject({ held: z.boolean() });
export const AdoptAnswer = z.strictObject({ reservedEpoch: EPOCH });
export const StateAnswer = z.strictObject({ state: z.string() });
export const FreezeAnswer = z.strictObject({ id: z.string() });
export const HealthAnswer = z.strictObject({ status: z.string() });
export const ReadyAnswer = z.strictObject({
  ready: z.boolean(),
  role: z.enum(["leader", "standby", "starting"]),
  checks: z.array(z.strictObject({ name: z.string(), ok: z.boolean(), text: z.string() })),
});
export const ErrorAnswer = z.strictObject({ code: z.string(), message: z.string(), hint: z.string() });
