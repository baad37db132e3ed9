import { z } from "zod";
import { AUTHOR, EPOCH, INSTANT, MODE, NAME, PPM, REASON, SERVICES } from "./api-fields.ts";

export const RollbackBody = z.strictObject({
  epoch: EPOCH.optional(),
  author: AUTHOR,
  reason: REASON,
  force: z.boolean().optional().describe("also to weights of a target that can take nothing now"),
});
export const ResumeBody = z.strictObject({ author: AUTHOR, services: SERVICES.optional() });
export const AdoptBody = z.strictObject({ author: AUTHOR });
export const KillSwitchBody = z.strictObject({ on: z.boolean(), author: AUTHOR, reason: REASON });
export const ChangeBody = z.strictObject({
  services: z
    .array(z.strictObject({ name: NAME, weightsPpm: z.record(NAME, PPM).optional(), mode: MODE.optional() }))
    .min(1)
    .max(1024),
  author: AUTHOR,
  reason: REASON,
  breakGlass: z.boolean().optional(),
  ticket: NAME.optional(),
});
export const DiffBody = ChangeBody.omit({ reason: true, breakGlass: true, ticket: true });
export const ApproveBody = z.strictObject({
  by: AUTHOR,
  reason: REASON.optional(),
  breakGlass: z.boolean().optional(),
});
export const RefuseBody = z.strictObject({ by: AUTHOR, reason: REASON });
export const FreezeBody = z.strictObject({
  name: NAME,
  services: SERVICES.optional(),
  from: INSTANT.optional().describe("default: now"),
  to: INSTANT,
  author: AUTHOR,
  reason: REASON,
});
export const LiftBody = z.strictObject({ author: AUTHOR, reason: REASON });
export const BreakBody = z.strictObject({
  services: SERVICES.optional(),
  minutes: z.number().min(1).max(1440).describe("of the planning calendar"),
  author: AUTHOR,
  reason: REASON,
});
