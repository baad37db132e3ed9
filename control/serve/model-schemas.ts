import { z } from "zod";
import { AUTHOR, EPOCH, REASON } from "./api-fields.ts";

/** Bodies and answers about models, of demand and of change risk. */

export const ShadowBody = z.strictObject({
  folder: z.string().min(1).max(1024).describe("of the model and its manifest, on the server's machine"),
  author: AUTHOR,
  reason: REASON,
});
export const ModelBody = z.strictObject({ author: AUTHOR, reason: REASON });

export const ModelRef = z.strictObject({ sha256: z.string(), kind: z.string(), folder: z.string() });
export const SCORE = z.number().nullable().describe("null without observations");
export const Evidence = z.strictObject({ mase: z.number(), wql: z.number(), coverage: z.array(z.number()) });
export const ModelChange = z.strictObject({
  kind: z.enum(["promote", "rollback"]),
  from: ModelRef.nullable(),
  to: ModelRef.nullable(),
  evidence: z
    .strictObject({
      windows: z.int(),
      won: z.int(),
      scores: z.strictObject({ active: Evidence, candidate: Evidence, seasonalNaive: Evidence }),
    })
    .optional(),
  riskEvidence: z
    .strictObject({
      cases: z.int(),
      degraded: z.int(),
      z: z.number(),
      brier: z.strictObject({ active: z.number(), candidate: z.number(), rule: z.number(), baseRate: z.number() }),
    })
    .optional(),
});

export const DRIFT = z.enum(["off", "warming", "steady", "warn", "drifted"]);
const POLICY = z.enum(["off", "warn", "fallback"]);

const Scores = z.strictObject({
  windows: z.int(),
  steps: z.int(),
  mase: SCORE,
  wql: SCORE,
  coverage: z.array(SCORE).describe("share observed at or below each of its levels"),
});
export const ModelAnswer = z.strictObject({
  active: z.looseObject({
    model: z.string(),
    sha256: z.string().nullable(),
    kind: z.string().nullable(),
    modelDir: z.string(),
    drift: z.strictObject({
      policy: POLICY,
      verdict: DRIFT,
      text: z.string().nullable(),
      inputs: z.array(z.strictObject({ name: z.string(), divergence: z.number() })).describe("largest first"),
      signs: z
        .array(z.strictObject({ name: z.string(), divergence: z.number() }))
        .describe("of the loads themselves: noise_change, size_change, noise, gaps; largest first"),
      residuals: z.number().nullable(),
      windows: z.int(),
    }),
  }),
  champion: ModelRef.nullable().describe("the promoted model; null: that of ballast.yaml"),
  former: z.array(ModelRef),
  candidate: ModelRef.nullable(),
  rules: z.strictObject({ minWindows: z.int(), margin: z.number() }),
  comparison: z
    .strictObject({
      windows: z.int(),
      asked: z
        .strictObject({
          asked: z.int(),
          failed: z
            .int()
            .describe("no answer by the model's own fault: refused by the output guard, too late, an error"),
          unanswered: z.int().describe("those, and services of which it cannot know enough"),
          reason: z.string().nullable().describe("of the newest one without an answer"),
        })
        .describe("how often the candidate was asked for a service's forecast"),
      won: z.int(),
      active: Scores,
      candidate: Scores,
      seasonalNaive: Scores,
      missing: z.array(z.string()).describe("why it may not be proposed; empty when it may"),
    })
    .nullable(),
  alarms: z.array(z.string()),
});
const RiskScores = z.strictObject({ brier: SCORE, prAuc: SCORE.describe("average precision") });
export const RiskModelAnswer = z.strictObject({
  active: z.looseObject({
    model: z.enum(["ready", "refused"]),
    reason: z.strictObject({ code: z.string(), text: z.string() }).nullable(),
    sha256: z.string().nullable(),
    modelDir: z.string(),
    open: z.int().describe("changes and targets whose outcome is waited for"),
    drift: z.strictObject({
      policy: POLICY,
      verdict: DRIFT,
      text: z.string().nullable(),
      cases: z.int(),
      expected: z.number().describe("sum of what was said"),
      happened: z.int(),
      brier: SCORE,
      baseRateBrier: SCORE,
    }),
  }),
  champion: ModelRef.nullable().describe("the promoted model; null: that of ballast.yaml"),
  former: z.array(ModelRef),
  candidate: ModelRef.nullable(),
  rules: z.strictObject({ minCases: z.int(), margin: z.number() }),
  comparison: z
    .strictObject({
      cases: z.int().describe("changes and targets of which both had spoken before the start"),
      degraded: z.int(),
      unsuccessful: z.int().describe("changes that were closed unsuccessful"),
      active: RiskScores,
      candidate: RiskScores,
      rule: RiskScores,
      baseRate: RiskScores,
      z: z.number().describe("lead over what steers in standard errors, changes taken as independent"),
      missing: z.array(z.string()).describe("why it may not be proposed; empty when it may"),
    })
    .nullable(),
  alarms: z.array(z.string()),
});
export const ModelRollbackAnswer = z.strictObject({ epoch: EPOCH });
