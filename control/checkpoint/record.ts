import { createHash } from "node:crypto";
import { digestHex } from "../../common/xxh64.ts";
import type { Cause } from "../plan/plan.ts";
import type { TableSet } from "../table/table.ts";
import type { Unit, UnitEnd } from "./unit.ts";

/** Who did something: a person by name, the planner with the model's version, or a rule of the policy. */
export interface Actor {
  kind: "person" | "planner" | "rule";
  name: string;
}

/** One check of the policy (or of a freeze or conflict) and what it said. */
export interface Verdict {
  rule: string;
  ok: boolean;
  text: string;
}

export interface Approval {
  /** rule: a standard change inside the bounds; person: somebody other than the author; owed: an emergency, to be given. */
  kind: "rule" | "person" | "owed";
  by: Actor;
  /** Wall time. */
  atMs: number;
  evidence?: string;
  /** For `owed`: wall time by which a person must have approved. */
  dueMs?: number;
}

/**
 * - standard: within the policy's bounds, approved by rule.
 * - normal: outside them, a named person other than the author approves.
 * - emergency: at once, approval is owed.
 */
export type ChangeType = "standard" | "normal" | "emergency";

export interface TargetChange {
  name: string;
  /** Share before this epoch, ppm; null when the target is new. */
  beforePpm: number | null;
  weightPpm: number;
  stickyPpm: number;
  draining: boolean;
  /** Effects add up to weightPpm − base. */
  causes: readonly Cause[];
}

export interface ServiceChange {
  name: string;
  mode: "observe" | "steer";
  why: string;
  targets: readonly TargetChange[];
  /** A person's weights, which the planner leaves alone until `resume`; carried from epoch to epoch. */
  pinned?: { by: string; epoch: number };
}

/** The immutable content of one checkpoint. Times are milliseconds since the Unix epoch; shares are ppm. */
export interface CheckpointRecord {
  schema: 1;
  fleet: string;
  /** Reserved in the store before the draft is made; never used twice. */
  epoch: number;
  /** The epoch in force when this one was drafted; 0 for the first. The commit holds it against the head. */
  parent: number;
  /** Fencing token of the server that made it. */
  term: number;
  /** Planning time and wall time of the draft. */
  plannedAtMs: number;
  createdAtMs: number;
  author: Actor;
  /** What set it off, for example `schedule`, `health`, `rollback`, `kill_switch`. */
  trigger: string;
  /** One line for people. */
  why: string;
  changeType: ChangeType;
  ticket?: string;
  mode: "steer" | "observe" | "passthrough";
  setDigest: string;
  tables: readonly TableRef[];
  services: readonly ServiceChange[];
  slotsMoved: number;
  slotsMinMoved: number;
  /** Largest distance between a planned share and its quota. */
  quantisationPpm: number;
  /** Digest of the policy that was applied, of the estate and the model that were read. */
  policyDigest?: string;
  estateDigest?: string;
  model?: string;
  /** The change-risk model that was asked. */
  riskModel?: string;
  /** For a rollback: the epoch whose tables are named again. */
  rollbackOf?: number;
  /** The model that steers from this epoch on; its tables are those of the epoch before. */
  modelChange?: ModelChange;
  /** The epoch under which this change waited for its approval, when it was carried out under another one. */
  change?: number;
  /** A freeze was broken, or a rollback forced, on purpose. */
  breakGlass?: { by: string; reason: string };
  /** The unit of which this epoch is a step; absent in records of servers that knew none. */
  rollout?: Unit;
  /** While a part of the fleet goes ahead: which, and what all other nodes use under this epoch. */
  cohort?: CohortRecord;
  /** Units that this epoch takes back or takes the place of. */
  ends?: readonly UnitEnd[];
}

export interface CohortRecord {
  /** The unit that is ahead there. */
  unit: number;
  /** Last position of the cohort, 16 hex digits (control/xds/cohort.ts). */
  upTo: string;
  /** Connected nodes in it when it was drawn, and of the fleet. */
  nodes: number;
  of: number;
  rest: { setDigest: string; tables: readonly TableRef[] };
}

/** A model by its file; the folder is where it was read from, for people. */
export interface ModelRef {
  sha256: string;
  kind: string;
  folder: string;
}

/** A promotion, or the return to a former model. */
export interface ModelChange {
  /** Null: there was none, the baselines answered. */
  from: ModelRef | null;
  /** Null: that of ballast.yaml, if it names one. */
  to: ModelRef | null;
  kind: "promote" | "rollback";
  /** What it was approved on: scored beside what steered, over so many windows. Absent for a return. */
  evidence?: {
    windows: number;
    won: number;
    scores: Record<"active" | "candidate" | "seasonalNaive", { mase: number; wql: number; coverage: number[] }>;
  };
  /** The same of a change-risk model: Brier scores over changes and targets of which both had spoken before. */
  riskEvidence?: {
    cases: number;
    degraded: number;
    /** Lead over what steered in standard errors. */
    z: number;
    brier: Record<"active" | "candidate" | "rule" | "baseRate", number>;
  };
}

/** A table as a record names it: XXH64 as on the wire, SHA-256 because that one cannot be forged. */
export interface TableRef {
  service: string;
  digest: string;
  sha256: string;
}

export function tableRefs(set: TableSet): TableRef[] {
  return set.tables.map(({ service, digest, bytes }) => ({
    service,
    digest: digestHex(digest),
    sha256: sha256Hex(bytes),
  }));
}

export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** What a record keeps of one phase over the fleet. */
export interface RoundSummary {
  result: string;
  reason: string;
  tookMs: number;
  firstAckMs: number | null;
  lastAckMs: number | null;
  asked: number;
  acks: number;
  /** Those that did not acknowledge first; at most `maxNodes` of all. */
  nodes: readonly { id: string; instance: string; answer: string; afterMs: number | null; reason?: string }[];
  /** Nodes left out of the list. */
  omitted: number;
}

/** Bounds a round's outcome for the record: a fleet of 10,000 would make a megabyte of answers for every epoch. */
export function summariseRound(outcome: Omit<RoundSummary, "asked" | "omitted">, maxNodes = 200): RoundSummary {
  const { result, reason, tookMs, firstAckMs, lastAckMs, acks } = outcome;
  const nodes = [
    ...outcome.nodes.filter((node) => node.answer !== "ack"),
    ...outcome.nodes.filter((node) => node.answer === "ack"),
  ].slice(0, maxNodes);
  const asked = outcome.nodes.length;
  return { result, reason, tookMs, firstAckMs, lastAckMs, asked, acks, nodes, omitted: asked - nodes.length };
}
