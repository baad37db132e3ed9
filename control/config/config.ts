import type { Position } from "../../common/errors.ts";
import type { RolloutPolicy } from "../rollout/decide.ts";
import type { Objective } from "../rollout/metrics.ts";
import type { Access, TlsFiles, XdsTlsFiles } from "./access.ts";
import type { ChangeControl } from "./change-control.ts";
import type { ForecastConfig } from "./forecast.ts";
import type { StoreConfig } from "./store.ts";
import type { TicketsConfig } from "./tickets.ts";

/**
 * What ballast.yaml says, checked as a whole: a value of this type has passed every rule of docs/reference/ballast-yaml.md.
 * Times are milliseconds, shares integers in parts per million. Paths are as written: relative ones count from the
 * working directory.
 */
export interface BallastConfig {
  /** The file it came from, for messages. */
  file: string;
  version: 1;
  fleet: string;
  /** A planning calendar of its own; null: the wall clock. */
  clock: { startMs: number; rate: number } | null;
  /** TLS null: that server speaks clear text, on loopback only. */
  server: {
    xds: SocketAddress;
    xdsTls: XdsTlsFiles | null;
    api: SocketAddress;
    apiTls: TlsFiles | null;
    /** The head of the store is confirmed at least so often, or the server falls silent and another may take the lead. */
    leaseMs: number;
  };
  store: StoreConfig;
  /** Base URLs of Envoy admin endpoints, without a slash at the end. */
  envoy: { admin: readonly string[] };
  /** An estate read longer ago than maxAgeMs makes the server not ready; it goes on planning with it. */
  estate: { servicenow: string; servicenowPosition: Position; maxAgeMs: number };
  history: { csv: string; csvPosition: Position; stepMs: number } | null;
  /** Folder with the model and its manifest; null: the forecast starts at its first fall-back. */
  model: string | null;
  forecast: ForecastConfig;
  /** Folder with the change-risk model and its manifest; null: risk is not looked at. */
  riskModel: string | null;
  tables: { slots: number };
  /** The policy of services that override nothing. */
  policy: Policy;
  changeControl: ChangeControl;
  /** Times on the planning clock. */
  rollout: RolloutPolicy;
  /** Null: there is no ticket system. */
  tickets: TicketsConfig | null;
  access: Access;
  services: ReadonlyMap<string, ServiceConfig>;
}

export interface SocketAddress {
  host: string;
  /** 0: the system picks a free port. */
  port: number;
}

/** One service's bounds; units and ranges per field in docs/reference/ballast-yaml.md. */
export interface Policy {
  stepLimitPpm: number;
  stepIntervalMs: number;
  leadTimeMs: number;
  returnAfterMs: number;
  hysteresisPpm: number;
  floorPpm: number;
  capPpm: number;
  /** Demand quantile that plans are made for, between 0 and 1. */
  demandQuantile: number;
  /** 0 … 1. */
  targetUtilisation: number;
  telemetryMaxAgeMs: number;
  /** Share of a target's capacity that is counted on while a P1 (P2) incident lies on its path, 0 … 1. */
  p1Remaining: number;
  p2Remaining: number;
  /** The same while an approved change lies on its path; 0 drains it. */
  changeRemaining: number;
  /** Share of the changes that wait for approval which are taken to be carried out, 0 … 1. */
  pendingChance: number;
  /** Probability from which a change's risk moves traffic, 0 … 1. */
  riskFrom: number;
  /** Share of a target's own traffic that risk alone may move away at most. */
  riskShiftPpm: number;
}

export interface ServiceConfig {
  /** The Envoy route's name. */
  name: string;
  /** Name or sys_id of its CI. */
  ci: string;
  ciPosition: Position;
  mode: "observe" | "steer";
  /** How this service's picks become clusters in Envoy (envoy/README.md); `header_name` is watched for a route that was edited. */
  steering: "header_route" | "exact_routes" | "header_name";
  sessions: { moveBeforeMs: number } | null;
  capacity: {
    rpsPerCore: number;
    referenceMhz: number;
    /** Length of a reading that capacities are learnt from, real time. */
    readingMs: number;
  };
  /** What a rollout is held against. `latencyMs` is real time, whatever the planning clock does. */
  objective: Objective;
  /** `policy` of the file with the service's own fields on top. */
  policy: Policy;
  targets: ReadonlyMap<string, TargetConfig>;
}

export interface TargetConfig {
  /** The Envoy cluster's name. */
  name: string;
  /** Name or sys_id of its CI. */
  ci: string;
  ciPosition: Position;
  basePpm: number;
  /** A measured capacity in requests per second that replaces the one computed from CMDB facts; null: none. */
  capacityRps: number | null;
}
