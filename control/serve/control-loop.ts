import type { Clock } from "../../common/clock.ts";
import type { CapacityBook } from "../capacity/capacity-book.ts";
import type { Actor } from "../checkpoint/record.ts";
import type { BallastConfig } from "../config/config.ts";
import type { DemandForecast } from "../forecast/forecast.ts";
import type { Forecaster, Meanwhile } from "../forecast/forecaster.ts";
import type { ChangeRisks } from "../forecast/risk/risk.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import type { PlanInput, PlanMemory, PlannedService } from "../plan/plan.ts";
import { planFleet } from "../plan/plan-fleet.ts";
import { stillAhead } from "../plan/still-ahead.ts";
import { serviceDemand, serviceSeconds } from "../telemetry/service-demand.ts";
import type { TelemetrySnapshot } from "../telemetry/telemetry.ts";
import type { ChangeDesk } from "./change-desk.ts";
import type { RiskBook } from "./change-risk.ts";
import type { Changes } from "./changes.ts";
import { DemandMeter } from "./demand-meter.ts";
import { draftSet } from "./draft-set.ts";
import type { EpochWriter } from "./epoch-writer.ts";
import type { InForce } from "./in-force.ts";
import { nextSet } from "./next-set.ts";
import type { Rollouts } from "./rollouts.ts";
import { type Wanted, wantedOf } from "./wanted.ts";

export interface ControlLoopOptions {
  config: BallastConfig;
  clock: Clock;
  /** Planning milliseconds per wall millisecond. */
  clockRate: number;
  services: PlanInput["services"];
  history: LoadHistory;
  forecaster: Pick<Forecaster, "forecast" | "status">;
  /** Learns what the targets can carry. */
  capacities: CapacityBook;
  /** Null: the risk of changes is not looked at. */
  risks: Pick<RiskBook, "at"> | null;
  writer: EpochWriter;
  desk: ChangeDesk;
  rollouts: Rollouts;
  changes: Changes;
  onError?: (error: Error) => void;
  /** Wall time between two ticks. Default 500 ms. */
  tickMs?: number;
  /** A set that the fleet refused is not tried again for so long. Default 5,000 ms. */
  retryMs?: number;
}

const DEFAULTS = { tickMs: 500, retryMs: 5_000 };
/** Wall time that a tick waits for forecasts of its own step; after it the plan is made from those of the step before. */
const FORECAST_PATIENCE_MS = 1_000;

/**
 * Observe → forecast → plan → change control → tables → epoch, twice a second. The parts it calls are pure or have their own
 * tests; what lives here is their order, and what is remembered between two ticks.
 *
 * One epoch is written at a time; only an emergency aborts another's staging. What is not free to move (a freeze, a person's
 * weights, a change that waits for approval, one that bakes) is planned on for `status`, and only what must leave is released.
 * Units in flight come first: what is baked may go on, what breaches its objective is taken back.
 */
export class ControlLoop {
  readonly #options: ControlLoopOptions & typeof DEFAULTS;
  readonly #meter: DemandMeter;
  #memory: PlanMemory | undefined;
  #telemetry: TelemetrySnapshot | null = null;
  #forecasts: ReadonlyMap<string, DemandForecast> = new Map();
  #risks: ChangeRisks = new Map();
  #forecastStep = Number.NEGATIVE_INFINITY;
  #forecasting: Promise<void> | null = null;
  #planned: ReadonlyMap<string, PlannedService> = new Map();
  #plannedAtMonotonicMs: number | null = null;
  #heldBack: Wanted["heldBack"] = [];
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ControlLoopOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#meter = new DemandMeter(options.history);
  }

  /** The newest plan, released or not. */
  get planned(): ReadonlyMap<string, PlannedService> {
    return this.#planned;
  }

  /** Monotonic time of the newest plan; null before the first. */
  get plannedAtMonotonicMs(): number | null {
    return this.#plannedAtMonotonicMs;
  }

  /** What of the newest plan stays back by change control, and why. */
  get heldBack(): Wanted["heldBack"] {
    return this.#heldBack;
  }

  get forecasts(): ReadonlyMap<string, DemandForecast> {
    return this.#forecasts;
  }

  get telemetry(): TelemetrySnapshot | null {
    return this.#telemetry;
  }

  start(): void {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
    await this.#options.writer.pushing?.done;
  }

  observe(snapshot: TelemetrySnapshot): void {
    this.#telemetry = snapshot;
    const nowMs = this.#options.clock.nowMs();
    this.#options.capacities.observe(snapshot, nowMs);
    for (const [name, { estate }] of this.#options.services) {
      const targets = estate.targets.map((target) => target.name);
      const rps = serviceDemand(snapshot, targets);
      if (rps !== null) this.#meter.sample(name, nowMs, rps, serviceSeconds(snapshot, targets));
    }
  }

  #schedule(inMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#turn = this.#tick()
        .catch((error: Error) => this.#options.onError?.(error))
        .then(() => this.#schedule(this.#options.tickMs));
    }, inMs);
  }

  async #tick(): Promise<void> {
    const { clock, services, config, writer, desk, rollouts } = this.#options;
    const nowMs = clock.nowMs();
    await this.#refreshForecasts(nowMs);
    const { inForce } = writer;
    const baseline = inForce === null ? null : rollouts.baseline(inForce);
    const plan = planFleet({
      nowMs,
      monotonicMs: clock.monotonicMs(),
      services: this.#options.capacities.apply(services, nowMs),
      forecasts: stillAhead(this.#forecasts, nowMs),
      telemetry: this.#telemetry,
      ...(this.#options.risks === null ? {} : { risks: this.#risks }),
      last: inForce === null || baseline === null ? null : onBaseline(inForce, baseline.plans),
      clockRate: this.#options.clockRate,
      planIntervalMs: this.#options.tickMs * this.#options.clockRate,
      ...(this.#memory === undefined ? {} : { memory: this.#memory }),
    });
    this.#memory = plan.memory;
    this.#planned = plan.services;
    this.#plannedAtMonotonicMs = clock.monotonicMs();
    const wanted = wantedOf({
      planned: plan.services,
      inForce: baseline?.plans ?? null,
      policies: writer.policies,
      bounds: config.changeControl.standard,
      held: desk.state.held,
      // The first weights take nothing's place: there is nothing in flight yet, and nothing to go back to.
      restraintOf: (service) => (inForce === null ? null : rollouts.restraintOf(service)) ?? desk.restraintOf(service),
    });
    this.#heldBack = wanted.heldBack;
    if (writer.pushing !== null) {
      if (wanted.emergency) writer.yieldTo("an emergency");
      return;
    }
    // Not awaited: the next tick must be able to see an emergency while a fleet is slow to prove.
    void writer
      .exclusively(wanted.emergency, async () => {
        const due = wanted.emergency ? null : await rollouts.look(writer.inForce);
        if (due !== null) await rollouts.act(due, writer, (plans) => this.#options.changes.unsafe(plans));
        // What was planned holds only as long as nothing else was put in force since.
        if (writer.inForce?.epoch === inForce?.epoch) await this.#act(wanted);
      })
      .catch((error: Error) => this.#options.onError?.(error));
  }

  /**
   * Forecasts are made once per step of the history, beside the ticks: a slow model (or baselines for thousands of services) must not keep
   * a dead target in traffic. The tick waits only so long that a forecast of usual speed is part of its own plan.
   */
  async #refreshForecasts(nowMs: number): Promise<void> {
    const { services, history, forecaster, risks, onError } = this.#options;
    const step = Math.floor(nowMs / history.stepMs);
    if (step !== this.#forecastStep && this.#forecasting === null) {
      this.#meter.advance(nowMs);
      this.#forecasting = Promise.all([
        forecaster.forecast(history, [...services.keys()], nowMs, { meanwhile: this.#meanwhile(nowMs) }),
        risks?.at(nowMs) ?? this.#risks,
      ])
        .then(([forecasts, changeRisks]) => {
          this.#forecasts = forecasts;
          this.#risks = changeRisks;
          this.#forecastStep = step;
        })
        .catch((error: Error) => onError?.(error))
        .finally(() => {
          this.#forecasting = null;
        });
    }
    if (this.#forecasting === null) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, FORECAST_PATIENCE_MS);
    });
    await Promise.race([this.#forecasting, patience]);
    clearTimeout(timer);
  }

  /** For services of which nothing is said yet the rest of the chain stands in; what a model said of the step before is better than that. */
  #meanwhile(nowMs: number): Meanwhile {
    const before = stillAhead(this.#forecasts, nowMs);
    let said: Map<string, DemandForecast> | null = null;
    return {
      services: [...this.#options.services.keys()].filter((name) => !before.has(name)),
      tell: (forecast) => {
        said ??= new Map(before);
        said.set(forecast.service, forecast);
        this.#forecasts = said;
      },
    };
  }

  async #act(wanted: Wanted): Promise<void> {
    const { clock, config, writer, rollouts, changes, retryMs } = this.#options;
    await changes.expire();
    for (const { service, judgement } of wanted.needApproval)
      await changes.planNeedsApproval(service, judgement, this.#planner());
    if (wanted.services === null) return;
    const { inForce } = writer;
    const next = nextSet(wanted.services, wanted.emergency, inForce, rollouts);
    const draft = draftSet(next.services, next.tables, config.tables.slots);
    if (draft.set.digest === inForce?.set.digest) {
      writer.forgetFailure();
      return;
    }
    const { failed } = writer;
    if (failed?.digest === draft.set.digest && clock.monotonicMs() - failed.atMonotonicMs < retryMs) return;
    const byName = new Map(next.services.map((service) => [service.name, service]));
    await writer.write({
      set: draft.set,
      tables: draft.tables,
      services: next.services,
      ...(next.protective ? { course: "protective" } : {}),
      why: inForce === null ? "first weights" : draft.changed.map((name) => byName.get(name)!.why).join("; "),
      trigger: inForce === null ? "start" : wanted.emergency ? "health" : "plan",
      author: this.#planner(),
      emergency: wanted.emergency,
    });
  }

  #planner(): Actor {
    const { sha256 } = this.#options.forecaster.status();
    return {
      kind: "planner",
      name: sha256 === null ? "planner without a model" : `planner with model ${sha256.slice(0, 12)}`,
    };
  }
}

/** The plans in force, but for services that only a part of the fleet has changed: those as the rest has them. */
function onBaseline({ last }: InForce, plans: ReadonlyMap<string, PlannedService>): NonNullable<PlanInput["last"]> {
  return new Map([...last].map(([name, one]) => [name, { ...one, plan: plans.get(name) ?? one.plan }]));
}
