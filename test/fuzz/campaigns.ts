import { fuzzConfigurations } from "./configuration-campaign.ts";
import { fuzzRequests } from "./request-campaign.ts";
import { fuzzSharedData } from "./shared-data-campaign.ts";
import { fuzzTables } from "./table-campaign.ts";
import { fuzzXds } from "./xds-campaign.ts";

/** Runs `inputs` inputs from a seed on a fresh Envoy; throws when one of them did harm. */
export type Campaign = (seed: number, inputs: number) => void;

export const CAMPAIGNS: Readonly<Record<string, Campaign>> = {
  xds: fuzzXds,
  tables: fuzzTables,
  configurations: fuzzConfigurations,
  requests: fuzzRequests,
  "shared-data": fuzzSharedData,
};

/** Inputs per Envoy: enough for states to build up, few enough to repeat. */
export const INPUTS_PER_SEED = 500;
/** Of the inputs of a run. */
export const SHARES: Readonly<Record<string, number>> = {
  xds: 0.3,
  tables: 0.15,
  configurations: 0.2,
  requests: 0.25,
  "shared-data": 0.1,
};
