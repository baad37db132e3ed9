import { BallastError } from "../../common/errors.ts";
import type { FreezeVerdict } from "../change/freeze.ts";
import type { PendingService } from "../change/ledger.ts";
import type { CheckpointRecord, ModelChange, Verdict } from "../checkpoint/record.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { ChangeDesk } from "./change-desk.ts";
import type { EpochWriter } from "./epoch-writer.ts";
import type { InForce } from "./in-force.ts";
import type { ServiceRequest } from "./proposal.ts";
import type { Rollouts } from "./rollouts.ts";

export interface ChangesOptions {
  config: BallastConfig;
  store: CheckpointStore;
  term: number;
  writer: EpochWriter;
  desk: ChangeDesk;
  rollouts: Rollouts;
  /** Why a target of a service can take no request now; null when it can. */
  unfit: (service: string, target: string) => string | null;
  /** Planning time. */
  nowMs: () => number;
  wallMs?: () => number;
  /** Throws CHANGE_STALE or MODEL_NOT_READY when what the approver was shown of a model does not hold any more. */
  modelStillApplies?: (change: ModelChange) => void;
}

export interface ChangeRequest {
  services: readonly ServiceRequest[];
  author: string;
  reason: string;
  /** Goes out in a freeze, and owes an approval afterwards. */
  breakGlass?: boolean;
  ticket?: string;
}

export type ChangeAnswer =
  | {
      state: "active";
      epoch: number;
      changeType: CheckpointRecord["changeType"];
      /** Of the rollout: this epoch is the first of `steps`, in force on `nodes`; null: on all. */
      steps: number;
      nodes: { ahead: number; of: number } | null;
    }
  | { state: "validated"; epoch: number; expiresAtMs: number; outside: readonly Verdict[] };

/** The preview of a change: what `diff` shows. */
export interface ChangePreview {
  changeType: "standard" | "normal";
  services: readonly PendingService[];
  verdicts: readonly Verdict[];
  freezes: ReadonlyMap<string, FreezeVerdict>;
  /** Nodes, of how many, that would have each step; planning time that each is watched for. */
  rollout: { nodes: readonly number[]; of: number; bakeMs: number };
}

/** NOTHING_IN_FORCE before the first epoch. */
export function mustBeInForce({ inForce }: Pick<EpochWriter, "inForce">): InForce {
  if (inForce === null) throw new BallastError("NOTHING_IN_FORCE", "no epoch is in force yet");
  return inForce;
}

/** Only a broken glass lets it pass: a service is frozen, or nothing can be seen of the fleet. */
export function needsGlass({ watcher }: Rollouts, freezes: ReadonlyMap<string, FreezeVerdict>): boolean {
  return watcher.isBlind() || [...freezes.values()].some((verdict) => verdict.frozen);
}

export function freezesOf(desk: ChangeDesk, services: readonly string[]): Map<string, FreezeVerdict> {
  return new Map(services.map((name) => [name, desk.freezeOf(name)]));
}

export function activeAnswer({ epoch, record }: InForce): ChangeAnswer {
  const { changeType, rollout, cohort } = record;
  const own = cohort !== undefined && cohort.unit === epoch;
  const nodes = own ? { ahead: cohort.nodes, of: cohort.of } : null;
  return { state: "active", epoch, changeType, steps: rollout?.steps ?? 1, nodes };
}
