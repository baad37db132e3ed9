import { freezeWindows } from "../change/calendar.ts";
import type { FreezeWindow } from "../change/freeze.ts";
import { atSetting } from "../config/at-setting.ts";
import type { BallastConfig } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { toServicePolicy } from "../config/service-policy.ts";
import { buildEstate } from "../estate/build-estate.ts";
import type { Estate, EstateService } from "../estate/estate.ts";
import type { TicketRecords } from "../features/groups/build-world.ts";
import { KnownChanges } from "../features/risk/known-changes.ts";
import { LoadHistory } from "../ingest/load-history.ts";
import { readLoadHistoryCsv } from "../ingest/load-history-csv.ts";
import type { EstateRecords } from "../ingest/records.ts";
import { readServiceNow } from "../ingest/servicenow.ts";
import type { PlanInput, ServicePolicy } from "../plan/plan.ts";
import { exportSignature } from "./export-watch.ts";

/** Step of the load history when ballast.yaml names none. */
const DEFAULT_STEP_MS = 300_000;

/** Everything a plan is made from, but for what is live. */
export interface Inputs {
  config: BallastConfig;
  estate: Estate;
  /** Of what the estate was built from, the part that says what changed and broke when. */
  tickets: TicketRecords;
  history: LoadHistory;
  /** The planner's view of each service. */
  services: PlanInput["services"];
  /** Of the policy and the estate's change calendar. */
  freezes: readonly FreezeWindow[];
  /** What the risk of changes is judged from; null when ballast.yaml names no risk model. */
  changes: KnownChanges | null;
  /** Of the export as it was read (`exportSignature`). */
  signature: string;
}

/** Reads ballast.yaml, the export and the load history it names. Throws typed errors with positions. */
export async function loadInputs(configPath: string, nowMs: (config: BallastConfig) => number): Promise<Inputs> {
  const config = await loadConfig(configPath);
  const signature = await exportSignature(config.estate.servicenow);
  const [records, history] = await Promise.all([
    readConfiguredEstate(config),
    config.history === null ? new LoadHistory({ stepMs: DEFAULT_STEP_MS }) : readConfiguredHistory(config.history),
  ]);
  const { windows, findings } = freezeWindows(config, records);
  records.findings.push(...findings);
  const estate = buildEstate({ records, config, nowMs: nowMs(config) });
  const changes = config.riskModel === null ? null : new KnownChanges(records);
  return {
    config,
    estate,
    // Not the records themselves: those of a million CIs must not outlive the estate that is built of them.
    tickets: { changes: records.changes, incidents: records.incidents, taskCis: records.taskCis },
    history,
    services: planServices(config, estate),
    freezes: windows,
    changes,
    signature,
  };
}

/** The export that ballast.yaml names. */
export function readConfiguredEstate({ estate }: Pick<BallastConfig, "estate">): Promise<EstateRecords> {
  return atSetting(estate.servicenow, estate.servicenowPosition, readServiceNow(estate.servicenow));
}

/** The load history that ballast.yaml names. */
export function readConfiguredHistory(history: NonNullable<BallastConfig["history"]>): Promise<LoadHistory> {
  const { csv, csvPosition, stepMs } = history;
  return atSetting(csv, csvPosition, readLoadHistoryCsv(csv, { stepMs }));
}

export function planServices(config: BallastConfig, estate: Estate): PlanInput["services"] {
  const services = new Map<string, { estate: EstateService; policy: ServicePolicy }>();
  for (const [name, service] of estate.services) {
    const policy = toServicePolicy(config, name);
    // The planner keeps its steps within what is approved by rule, and so begins a drain early enough for smaller steps.
    const stepLimitPpm = Math.min(policy.stepLimitPpm, config.changeControl.standard.maxStepPpm ?? policy.stepLimitPpm);
    services.set(name, { estate: service, policy: { ...policy, stepLimitPpm } });
  }
  return services;
}
