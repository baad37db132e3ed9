import { type FittedGroup, groupNeeds } from "../../features/groups/grouped-inputs.ts";
import type { World } from "../../features/groups/world.ts";
import type { LoadHistory } from "../../ingest/load-history.ts";
import type { FallbackReason } from "../reasons.ts";

/** What feature groups are made of beside a service's own load, as whoever asks a model has it. */
export interface WorldSource {
  /** Why a model with these groups cannot be asked here, with what to do about it, as one clause; null: it can. */
  lacks(groups: readonly FittedGroup[]): string | null;
  /** Never rejects: what is missing or stale at this origin is the reason that the model is not asked. */
  at(question: WorldQuestion): Promise<WorldAnswer>;
}

export interface WorldQuestion {
  groups: readonly FittedGroup[];
  history: LoadHistory;
  services: readonly string[];
  /** A multiple of the history's step. */
  originMs: number;
  season: number;
  horizon: number;
}

export type WorldAnswer =
  /** `of`: what is known of some of the services at the origin, plain data for another thread. */
  { of(services: readonly string[]): World } | { reason: FallbackReason };

/** Of a program that has nothing beside the loads. */
export const NO_WORLD: WorldSource = {
  lacks: (groups) => {
    const [first] = groupNeeds(groups);
    return first === undefined
      ? null
      : `its feature group ${first.name} needs ${first.needs.join(" and ")}, which only a server gives it`;
  },
  at: async ({ history }) => ({ of: () => ({ stepMs: history.stepMs }) }),
};
