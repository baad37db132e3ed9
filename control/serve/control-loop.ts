import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { type Actor, type CheckpointRecord, tableRefs } from "../checkpoint/record.ts";
import { type CheckpointStore, committedCheckpoint, loadSet } from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { Estate } from "../estate/estate.ts";
import type { LoadHistory } from "../features/load-history.ts";
import type { DemandForecast } from "../forecast/forecast.ts";
import type { Forecaster } from "../forecast/forecaster.ts";
import type { PlanInput, PlanMemory, PlannedService } from "../plan/plan.ts";
import { planFleet } from "../plan/plan-fleet.ts";
import type { BuiltTable } from "../table/build.ts";
import type { TableSet } from "../table/table.ts";
import { serviceDemand } from "../telemetry/service-demand.ts";
import type { TelemetrySnapshot } from "../telemetry/telemetry.ts";
import type { FleetPush } from "../xds/push.ts";
import { DemandMeter } from "./demand-meter.ts";
import { draftSet } from "./draft-set.ts";
import { fromCheckpoint, type InForce } from "./in-force.ts";
import { release } from "./release.ts";
import { judge } from "./verdicts.ts";

export interface ControlLoopOptions {
  config: BallastConfig;
  clock: Clock;
  /** Planning milliseconds per wall millisecond. */
  clockRate: number;
  wallMs?: () => number;
  estate: Estate;
  services: PlanInput["services"];
  history: LoadHistory;
  forecaster: Pick<Forecaster, "forecast" | "status">;
  store: CheckpointStore;
  fleet: Pick<FleetPush, "stage" | "activate" | "abort">;
  /** Fencing token of the lease that this server holds. */
  term: number;
  inForce: InForce | null;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
  onEpoch?: (epoch: ActiveEpoch) => void;
  onError?: (error: Error) => void;
  /** Wall time between two ticks. Default 500 ms. */
  tickMs?: number;
  /** Time the fleet gets to prove a set, to use it, and the same in an emergency. */
  stageDeadlineMs?: number;
  emergencyDeadlineMs?: number;
  /** A set that the fleet refused is not tried again for so long. Default 5,000 ms. */
  retryMs?: number;
}

export interface ActiveEpoch {
  inForce: InForce;
  /** Wall time of the last acknowledgement of the activation. */
  atMs: number;
  /** Null for a rollback, whose tables are named and not built. */
  tables: ReadonlyMap<string, BuiltTable> | null;
  skewMs: number | null;
}

const DEFAULTS = { tickMs: 500, stageDeadlineMs: 5_000, emergencyDeadlineMs: 2_000, retryMs: 5_000 };

/**
 * Observe → forecast → plan → tables → epoch, twice a second. The parts it calls are pure or have their own tests; what lives
 * here is their order, and what is remembered between two ticks.
 *
 * One epoch is in flight at a time; only an emergency aborts another's staging. After a rollback the planner holds: it goes on
 * planning for `status`, but only emergencies are released until `resume`.
 */
export class ControlLoop {
  readonly #options: Required<Omit<ControlLoopOptions, "onEpoch" | "onError">> &
    Pick<ControlLoopOptions, "onEpoch" | "onError">;
  readonly #meter: DemandMeter;
  #inForce: InForce | null;
  #memory: PlanMemory | undefined;
  #telemetry: TelemetrySnapshot | null = null;
  #forecasts: ReadonlyMap<string, DemandForecast> = new Map();
  #forecastStep = Number.NEGATIVE_INFINITY;
  #planned: ReadonlyMap<string, PlannedService> = new Map();
  #held: boolean;
  #pushing: { emergency: boolean; done: Promise<void> } | null = null;
  #failed: { digest: bigint; reason: string; atMs: number } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ControlLoopOptions) {
    this.#options = { ...DEFAULTS, wallMs: Date.now, ...options };
    this.#meter = new DemandMeter(options.history);
    this.#inForce = options.inForce;
    // A server that starts again after a rollback must not undo it.
    this.#held = options.inForce?.record.trigger === "rollback";
  }

  get inForce(): InForce | null {
    return this.#inForce;
  }

  get held(): boolean {
    return this.#held;
  }

  /** The newest plan, released or not. */
  get planned(): ReadonlyMap<string, PlannedService> {
    return this.#planned;
  }

  get forecasts(): ReadonlyMap<string, DemandForecast> {
    return this.#forecasts;
  }

  get telemetry(): TelemetrySnapshot | null {
    return this.#telemetry;
  }

  /** Why the last set was not released; null when the newest plan is in force. */
  get refusal(): string | null {
    return this.#failed?.reason ?? null;
  }

  start(): void {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
    await this.#pushing?.done;
  }

  observe(snapshot: TelemetrySnapshot): void {
    this.#telemetry = snapshot;
    const nowMs = this.#options.clock.nowMs();
    for (const [name, { estate }] of this.#options.services) {
      const rps = serviceDemand(
        snapshot,
        estate.targets.map((target) => target.name),
      );
      if (rps !== null) this.#meter.sample(name, nowMs, rps);
    }
  }

  /** Puts the tables of an earlier epoch in force as a new epoch, and holds. Rejects with a typed error. */
  async rollback(request: { epoch?: number; author: string; reason: string }): Promise<InForce> {
    return this.#exclusively(true, async () => {
      const now = this.#inForce;
      if (now === null) throw new BallastError("NOTHING_TO_ROLL_BACK", "no epoch is in force");
      const to = request.epoch ?? now.record.parent;
      const { store, config } = this.#options;
      const checkpoint = to > 0 ? await committedCheckpoint(store, to) : null;
      if (checkpoint === null) {
        if (request.epoch === undefined)
          throw new BallastError("NOTHING_TO_ROLL_BACK", `epoch ${now.epoch} is the first`);
        throw new BallastError("EPOCH_NOT_FOUND", `epoch ${to} was never committed`);
      }
      const set = await loadSet(store, to);
      const earlier = fromCheckpoint(checkpoint, set, config);
      const why = `rollback to the tables of epoch ${to}: ${request.reason}`;
      const services = [...earlier.last.values()].map(({ plan }) => ({ ...plan, why }));
      await this.#release({
        set,
        tables: null,
        services,
        why,
        trigger: "rollback",
        author: { kind: "person", name: request.author },
        emergency: true,
        rollbackOf: to,
      });
      if (this.#failed !== null) throw new BallastError("PUSH_FAILED", this.#failed.reason);
      this.#held = true;
      return this.#inForce!;
    });
  }

  resume(): void {
    this.#held = false;
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
    const { clock, services, history, forecaster, config } = this.#options;
    const nowMs = clock.nowMs();
    const step = Math.floor(nowMs / history.stepMs);
    if (step !== this.#forecastStep) {
      this.#forecastStep = step;
      this.#forecasts = await forecaster.forecast(history, [...services.keys()], nowMs);
    }
    const plan = planFleet({
      nowMs,
      monotonicMs: clock.monotonicMs(),
      services,
      forecasts: this.#forecasts,
      telemetry: this.#telemetry,
      last: this.#inForce?.last ?? null,
      clockRate: this.#options.clockRate,
      planIntervalMs: this.#options.tickMs * this.#options.clockRate,
      ...(this.#memory === undefined ? {} : { memory: this.#memory }),
    });
    this.#memory = plan.memory;
    this.#planned = plan.services;
    const emergency = [...plan.services.values()].some((service) => service.emergency);
    if (this.#pushing !== null) {
      if (emergency && !this.#pushing.emergency) this.#options.fleet.abort("an emergency takes its place");
      return;
    }
    if (this.#held && !emergency) return;
    const wanted = [...plan.services.values()].map((service) =>
      this.#held && !service.emergency ? (this.#inForce?.last.get(service.name)?.plan ?? service) : service,
    );
    const draft = draftSet(wanted, this.#inForce?.tables ?? new Map(), config.tables.slots);
    if (draft.set.digest === this.#inForce?.set.digest) {
      this.#failed = null;
      return;
    }
    const failed = this.#failed;
    if (failed?.digest === draft.set.digest && clock.monotonicMs() - failed.atMs < this.#options.retryMs) return;
    const changed = draft.changed.map((name) => plan.services.get(name)!);
    // Not awaited: the next tick must be able to see an emergency while a fleet is slow to prove.
    void this.#exclusively(emergency, () =>
      this.#release({
        set: draft.set,
        tables: draft.tables,
        services: wanted,
        why: this.#inForce === null ? "first weights" : changed.map((service) => service.why).join("; "),
        trigger: this.#inForce === null ? "start" : emergency ? "health" : "plan",
        author: this.#planner(),
        emergency,
      }),
    ).catch((error: Error) => this.#options.onError?.(error));
  }

  /** Runs one release at a time, after the one in flight. */
  async #exclusively<T>(emergency: boolean, work: () => Promise<T>): Promise<T> {
    while (this.#pushing !== null) await this.#pushing.done;
    const { promise: done, resolve } = Promise.withResolvers<void>();
    this.#pushing = { emergency, done };
    try {
      return await work();
    } finally {
      this.#pushing = null;
      resolve();
    }
  }

  async #release(draft: {
    set: TableSet;
    tables: ReadonlyMap<string, BuiltTable> | null;
    services: readonly PlannedService[];
    why: string;
    trigger: string;
    author: Actor;
    emergency: boolean;
    rollbackOf?: number;
  }): Promise<void> {
    const { store, fleet, clock, config, estate, term, log, services: known } = this.#options;
    const wallMs = this.#options.wallMs;
    const before = this.#inForce;
    const draining = draft.services.some((service) => service.targets.some((target) => target.draining));
    const parent = before?.epoch ?? 0;
    const epoch = await store.reserve(parent, { holder: config.fleet, term });
    const verdict = judge(
      draft.services,
      new Map([...(before?.last ?? [])].map(([name, { plan }]) => [name, plan])),
      new Map([...known].map(([name, { policy }]) => [name, policy])),
    );
    const nowMs = clock.nowMs();
    const built = [...(draft.tables?.values() ?? [])];
    const record: CheckpointRecord = {
      schema: 1,
      fleet: config.fleet,
      epoch,
      parent,
      term,
      plannedAtMs: Math.round(nowMs),
      createdAtMs: wallMs(),
      author: draft.author,
      trigger: draft.trigger,
      why: draft.why,
      changeType: draft.emergency ? "emergency" : verdict.changeType,
      mode: "steer",
      setDigest: digestHex(draft.set.digest),
      tables: tableRefs(draft.set),
      services: draft.services.map((service) => ({
        name: service.name,
        mode: service.mode,
        why: service.why,
        targets: service.targets.map(({ name, weightPpm, stickyPpm, draining, causes }) => ({
          name,
          beforePpm:
            before?.last.get(service.name)?.plan.targets.find((target) => target.name === name)?.weightPpm ?? null,
          weightPpm,
          stickyPpm,
          draining,
          causes,
        })),
      })),
      slotsMoved: built.reduce((sum, table) => sum + table.slotsMoved, 0),
      slotsMinMoved: built.reduce((sum, table) => sum + table.slotsMinMoved, 0),
      quantisationPpm: Math.max(0, ...built.map((table) => table.quantisationPpm)),
      estateDigest: estate.digest,
      ...(draft.rollbackOf === undefined ? {} : { rollbackOf: draft.rollbackOf }),
    };
    const deadlineMs = draft.emergency ? this.#options.emergencyDeadlineMs : this.#options.stageDeadlineMs;
    const result = await release(
      { store, fleet, clock, wallMs },
      {
        record,
        set: draft.set,
        verdicts: verdict.verdicts,
        allowed: verdict.ok || draft.emergency,
        by: { kind: "rule", name: "the fleet proved the set" },
        // An emergency or a drain must not wait for a node that does not answer: what it would protect is going away.
        quorum: draft.emergency || draining ? "whoever" : "all",
        stageDeadlineMs: deadlineMs,
        activateDeadlineMs: deadlineMs,
      },
    ).catch((thrown) => {
      fleet.abort("the store did not take the commit");
      throw thrown;
    });
    if (!result.committed) {
      this.#failed = { digest: draft.set.digest, reason: result.reason, atMs: clock.monotonicMs() };
      log.warn({ epoch, reason: result.reason }, "epoch not released");
      return;
    }
    this.#failed = null;
    const next = fromCheckpoint(result.checkpoint, draft.set, config);
    this.#inForce = { ...next, last: this.#lastAfter(draft.services, before, nowMs) };
    const { firstAckMs, lastAckMs } = result.activated;
    const skewMs = firstAckMs === null || lastAckMs === null ? null : lastAckMs - firstAckMs;
    log.info({ epoch, trigger: draft.trigger, why: draft.why, skewMs }, "epoch active");
    this.#options.onEpoch?.({ inForce: this.#inForce, atMs: wallMs(), tables: draft.tables, skewMs });
    if (before !== null) await this.#closeEarlier(before, epoch, draft.rollbackOf, draft.why);
  }

  /** A service's step counts from the epoch that changed its shares; the others keep theirs. */
  #lastAfter(services: readonly PlannedService[], before: InForce | null, nowMs: number): InForce["last"] {
    return new Map(
      services.map((plan) => {
        const earlier = before?.last.get(plan.name);
        const same =
          earlier !== undefined &&
          earlier.plan.targets.length === plan.targets.length &&
          plan.targets.every((target, i) => {
            const was = earlier.plan.targets[i]!;
            return was.name === target.name && was.weightPpm === target.weightPpm && was.stickyPpm === target.stickyPpm;
          });
        return [plan.name, { plan, steppedAtMs: same ? earlier.steppedAtMs : (plan.steppedAtMs ?? nowMs) }];
      }),
    );
  }

  async #closeEarlier(before: InForce, epoch: number, rollbackOf: number | undefined, reason: string): Promise<void> {
    const { store, term, wallMs } = this.#options;
    const move =
      rollbackOf === undefined
        ? ({ move: "supersede", from: "active", to: "closed", atMs: wallMs(), detail: { byEpoch: epoch } } as const)
        : ({
            move: "rollBack",
            from: "active",
            to: "rolledBack",
            atMs: wallMs(),
            detail: { byEpoch: epoch, reason },
          } as const);
    await store.append({ kind: "move", epoch: before.epoch, move }, { term });
  }

  #planner(): Actor {
    const { sha256 } = this.#options.forecaster.status();
    return {
      kind: "planner",
      name: sha256 === null ? "planner without a model" : `planner with model ${sha256.slice(0, 12)}`,
    };
  }
}
