import { z } from "zod";
import {
  Actor,
  Capacity,
  Cause,
  EPOCH,
  FLEET_MODE,
  Live,
  MODE,
  PPM,
  ServiceDiff,
  Verdict,
  WALL,
} from "./api-fields.ts";
import { DRIFT, ModelChange } from "./model-schemas.ts";

/** What the server is doing, and what waits for a person. */

export const Pending = z.strictObject({
  epoch: EPOCH,
  author: Actor,
  why: z.string(),
  proposedAtMs: WALL,
  expiresAtMs: WALL,
  mode: FLEET_MODE.optional(),
  modelChange: ModelChange.optional().describe("the model that it asks for, and the scores it is asked on"),
  services: z.array(ServiceDiff),
  outside: z.array(Verdict).describe("the bounds it breaks"),
  frozen: z.array(z.string()).describe("its services that are frozen now"),
});

export const Owed = z.strictObject({
  epoch: EPOCH,
  author: Actor,
  trigger: z.string(),
  why: z.string(),
  atMs: WALL,
  dueMs: WALL,
  overdue: z.boolean(),
});

const HeldBack = z.strictObject({
  service: z.string(),
  kind: z.enum(["freeze", "operator", "approval", "rollout"]),
  ref: z.string(),
  text: z.string(),
});

export const Freeze = z.strictObject({
  id: z.string(),
  name: z.string(),
  source: z.enum(["policy", "calendar", "operator"]),
  effect: z.enum(["deny", "allow"]),
  services: z.array(z.string()).nullable(),
  reason: z.string(),
  by: z.string().nullable(),
  open: z.boolean(),
  until: z.string().describe("next edge, or how far it was looked ahead"),
});

const Exemption = z.strictObject({
  id: z.string(),
  services: z.array(z.string()).nullable(),
  from: z.string(),
  until: z.string(),
  by: z.string(),
  reason: z.string(),
});

export const FreezesAnswer = z.strictObject({ freezes: z.array(Freeze), exemptions: z.array(Exemption) });
export const ChangesAnswer = z.strictObject({ pending: z.array(Pending), owed: z.array(Owed) });

export const StatusAnswer = z.strictObject({
  fleet: z.string(),
  now: z.string().describe("planning time"),
  epoch: z.int().min(0),
  setDigest: z.string().nullable(),
  term: z.int(),
  mode: FLEET_MODE.nullable(),
  held: z.boolean(),
  notReleased: z.string().nullable().describe("why the newest plan is not in force"),
  alarms: z.array(z.string()),
  changes: z.strictObject({
    pending: z.array(Pending),
    owed: z.array(Owed),
    heldBack: z.array(HeldBack),
    pinned: z.array(z.strictObject({ service: z.string(), by: z.string(), epoch: EPOCH })),
    freezes: z.array(Freeze).describe("those that deny now"),
    exemptions: z.array(Exemption),
  }),
  rollouts: z.strictObject({
    inFlight: z.array(
      z.strictObject({
        unit: EPOCH.describe("the epoch that began it"),
        epoch: EPOCH.describe("of the present step"),
        kind: z.enum(["change", "protective"]).describe("protective: on all nodes at once, never taken back by itself"),
        services: z.array(z.string()),
        step: z.int().min(1),
        steps: z.int().min(1),
        nodes: z.int().min(0).describe("connected nodes that have the step"),
        of: z.int().min(0).describe("connected nodes"),
        phase: z.enum(["activating", "baking", "passed"]),
        bakeLeftMs: z.number().min(0).describe("remaining time of the bake, on the planning clock"),
        text: z.string(),
        alarm: z.string().nullable(),
      }),
    ),
    takenBack: z
      .array(
        z.strictObject({
          service: z.string(),
          epoch: EPOCH,
          byEpoch: EPOCH,
          reason: z.string(),
          times: z.int().min(1).describe("automatic rollbacks of the service since the last `resume`"),
          holds: z.boolean().describe("the planner leaves the service alone"),
        }),
      )
      .describe("services whose last change was rolled back automatically"),
    quarantined: z
      .array(z.strictObject({ id: z.string(), instance: z.string(), epoch: EPOCH, reason: z.string() }))
      .describe("nodes that failed to activate and pass requests through"),
  }),
  tickets: z
    .strictObject({
      system: z.string(),
      reachable: z.boolean(),
      lastError: z.strictObject({ code: z.string(), message: z.string(), atMs: z.number() }).nullable(),
      stopped: z.string().nullable().describe("why tickets are not followed any more"),
      skipped: z.int(),
      tickets: z.array(
        z.strictObject({
          epoch: EPOCH,
          carriedOutAs: EPOCH.nullable(),
          type: z.string(),
          goal: z.string(),
          number: z.string().nullable(),
          url: z.string().nullable(),
          phase: z.string().nullable(),
          text: z.string(),
          failures: z.int(),
        }),
      ),
    })
    .nullable()
    .describe("the ticket system; null without one"),
  server: z.strictObject({
    state: z.enum(["serving", "silent", "behind"]),
    reason: z.string(),
    committedVersion: z.string(),
    stagedVersion: z.string(),
  }),
  nodes: z.array(
    z.looseObject({
      id: z.string(),
      instance: z.string(),
      connected: z.boolean(),
      stagedVersion: z.string(),
      activeVersion: z.string(),
      failures: z.int(),
      quarantine: z.strictObject({ epoch: EPOCH, reason: z.string() }).nullable(),
      ahead: z.boolean().describe("has what only a part of the fleet has yet, or all have"),
      current: z.boolean().describe("uses the version that is meant for it"),
      lastNack: z.looseObject({ type: z.string(), version: z.string(), reason: z.string() }).nullable(),
    }),
  ),
  estate: z.strictObject({ digest: z.string(), findings: z.int() }),
  risk: z
    .strictObject({
      model: z.enum(["ready", "refused"]),
      reason: z.strictObject({ code: z.string(), text: z.string() }).nullable(),
      sha256: z.string().nullable(),
      drift: z.strictObject({ verdict: DRIFT, text: z.string().nullable() }),
      open: z.int().describe("changes and targets whose outcome is waited for"),
      candidate: z.string().nullable(),
    })
    .nullable()
    .describe("the change-risk model; null when ballast.yaml names none"),
  forecast: z.looseObject({
    model: z.string(),
    reason: z.looseObject({ text: z.string() }).nullable().optional(),
    covariates: z
      .array(
        z.strictObject({
          source: z.enum(["holidays", "signals", "accessLog", "tickets"]),
          field: z.string().describe("of ballast.yaml"),
          state: z
            .enum(["ok", "kept", "stale", "missing"])
            .describe(
              "kept: the files cannot be read, what was read before is used; stale, missing: models that need it do not answer",
            ),
          text: z.string(),
          used: z.boolean().describe("whether a model needed it in the last two hours of the planning calendar"),
        }),
      )
      .describe("what the feature groups of models are made of beside the load"),
  }),
  unreachable: z.array(z.looseObject({ url: z.string(), reason: z.string() })),
  services: z.array(
    z.strictObject({
      name: z.string(),
      mode: MODE,
      why: z.string(),
      alarm: z.string().nullable(),
      switch: z
        .strictObject({
          sessionsPpm: PPM.describe("expected share of sessions that would change their target"),
          text: z.string(),
        })
        .nullable()
        .describe("what switching a service that is observed to steering would do; null while it steers"),
      forecast: z.strictObject({ source: z.string(), fallbackReasons: z.array(z.unknown()) }).nullable(),
      targets: z.array(
        z.strictObject({
          name: z.string(),
          basePpm: PPM,
          weightPpm: PPM,
          stickyPpm: PPM,
          draining: z.boolean(),
          causes: z.array(Cause),
          live: Live,
          capacity: Capacity.nullable(),
        }),
      ),
    }),
  ),
});
