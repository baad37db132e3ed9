import { z } from "zod";

/** Every body and answer of the HTTP API. docs/reference/openapi.json is made of these, and the server's tests hold answers against them. */

const NAME = z.string().trim().min(1).max(128);
const REASON = z.string().trim().min(1).max(1000);
const PPM = z.int().min(0).max(1_000_000).describe("parts per million of a service's requests");
const EPOCH = z.int().min(1);
export const Seq = z.int().min(1);
export const HistoryLimit = z.int().min(1).max(1000);
const WALL = z.number().describe("wall time, milliseconds since 1970");
const INSTANT = z.iso.datetime({ offset: true }).describe("on the planning calendar");
const MODE = z.enum(["observe", "steer"]);
const FLEET_MODE = z.enum(["steer", "observe", "passthrough"]);
const CHANGE_TYPE = z.enum(["standard", "normal", "emergency"]);
const SERVICES = z.array(NAME).min(1).max(1024);
const AUTHOR = NAME.optional().describe("who does it; with tokens or certificates the caller's name, and no other");

// Bodies.

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

export const ShadowBody = z.strictObject({
  folder: z.string().min(1).max(1024).describe("of the model and its manifest, on the server's machine"),
  author: AUTHOR,
  reason: REASON,
});
export const ModelBody = z.strictObject({ author: AUTHOR, reason: REASON });

// Answers.

const Actor = z.strictObject({ kind: z.enum(["person", "planner", "rule"]), name: z.string() });
const Verdict = z.strictObject({ rule: z.string(), ok: z.boolean(), text: z.string() });
const Cause = z.strictObject({ kind: z.string(), ref: z.string(), effectPpm: z.int(), text: z.string() });
const Live = z.looseObject({ target: z.string(), healthyHosts: z.int(), totalHosts: z.int() }).nullable();

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

const TargetChange = z.strictObject({
  name: z.string(),
  beforePpm: PPM.nullable(),
  weightPpm: PPM,
  stickyPpm: PPM,
  draining: z.boolean(),
  causes: z.array(Cause),
});

const ServiceDiff = z.strictObject({
  name: z.string(),
  beforeMode: MODE,
  mode: MODE,
  why: z.string(),
  targets: z.array(TargetChange),
  slotsMoved: z.int(),
  sessionsPpm: PPM.describe("expected share of sessions that change their target"),
  sessionsText: z.string(),
});

const ModelRef = z.strictObject({ sha256: z.string(), kind: z.string(), folder: z.string() });
const SCORE = z.number().nullable().describe("null without observations");
const Evidence = z.strictObject({ mase: z.number(), wql: z.number(), coverage: z.array(z.number()) });
const ModelChange = z.strictObject({
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
});

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
      policy: z.enum(["off", "warn", "fallback"]),
      verdict: z.enum(["off", "warming", "steady", "warn", "drifted"]),
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
      won: z.int(),
      active: Scores,
      candidate: Scores,
      seasonalNaive: Scores,
      missing: z.array(z.string()).describe("why it may not be proposed; empty when it may"),
    })
    .nullable(),
  alarms: z.array(z.string()),
});
export const ModelRollbackAnswer = z.strictObject({ epoch: EPOCH });

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
