import { z } from "zod";

/** Fields that several bodies and answers of the HTTP API have. */

export const NAME = z.string().trim().min(1).max(128);
export const REASON = z.string().trim().min(1).max(1000);
export const PPM = z.int().min(0).max(1_000_000).describe("parts per million of a service's requests");
export const EPOCH = z.int().min(1);
export const Seq = z.int().min(1);
export const HistoryLimit = z.int().min(1).max(1000);
export const WALL = z.number().describe("wall time, milliseconds since 1970");
export const INSTANT = z.iso.datetime({ offset: true }).describe("on the planning calendar");
export const MODE = z.enum(["observe", "steer"]);
export const FLEET_MODE = z.enum(["steer", "observe", "passthrough"]);
export const CHANGE_TYPE = z.enum(["standard", "normal", "emergency"]);
export const SERVICES = z.array(NAME).min(1).max(1024);
export const AUTHOR = NAME.optional().describe(
  "who does it; with tokens or certificates the caller's name, and no other",
);

export const Actor = z.strictObject({ kind: z.enum(["person", "planner", "rule"]), name: z.string() });
export const Verdict = z.strictObject({ rule: z.string(), ok: z.boolean(), text: z.string() });
export const Cause = z.strictObject({
  kind: z.string(),
  ref: z.string(),
  effectPpm: z.int(),
  text: z.string(),
  risk: z
    .strictObject({ target: z.string(), probability: z.number(), source: z.enum(["model", "rule", "base_rate"]) })
    .optional()
    .describe("of kind risk: how likely the change degrades the target that it lies on, and who said so"),
});
export const Live = z.looseObject({ target: z.string(), healthyHosts: z.int(), totalHosts: z.int() }).nullable();

export const Capacity = z
  .strictObject({
    rps: z.number().describe("what plans count on, requests per second"),
    source: z
      .enum(["configured", "estate", "assumed", "learnt"])
      .describe("ballast.yaml, facts of the CMDB, a guess for want of them, or learnt from load and latency"),
    priorRps: z.number().describe("the figure without what was learnt"),
    learntAgeS: z.number().nullable().describe("planning seconds since the newest reading behind a learnt figure"),
    text: z.string(),
  })
  .describe("null for a target that the estate does not have");

export const TargetChange = z.strictObject({
  name: z.string(),
  beforePpm: PPM.nullable(),
  weightPpm: PPM,
  stickyPpm: PPM,
  draining: z.boolean(),
  causes: z.array(Cause),
});

export const ServiceDiff = z.strictObject({
  name: z.string(),
  beforeMode: MODE,
  mode: MODE,
  why: z.string(),
  targets: z.array(TargetChange),
  slotsMoved: z.int(),
  sessionsPpm: PPM.describe("expected share of sessions that change their target"),
  sessionsText: z.string(),
});
