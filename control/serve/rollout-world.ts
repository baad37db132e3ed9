import { changes } from "../change/judge.ts";
import { presentCheckpoint } from "../checkpoint/store.ts";
import { TestStore } from "../checkpoint/test-store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlannedService } from "../plan/plan.ts";
import type { RolloutPolicy } from "../rollout/decide.ts";
import { isPartial } from "../rollout/flight.ts";
import { RolloutMeter } from "../rollout/meter.ts";
import type { EnvoyReading } from "../telemetry/telemetry-window.ts";
import { type Cohort, positionOf } from "../xds/cohort.ts";
import type { RoundOutcome } from "../xds/round.ts";
import { ChangeDesk, restoreLedger } from "./change-desk.ts";
import { Changes } from "./changes.ts";
import { draftSet } from "./draft-set.ts";
import { EpochWriter } from "./epoch-writer.ts";
import { earlierEpochs, restoreInForce, settleEarlier } from "./in-force.ts";
import type { Inputs } from "./inputs.ts";
import { nextSet } from "./next-set.ts";
import { Rollouts, restoreRollouts } from "./rollouts.ts";

const quiet = { info() {}, warn() {} };

/**
 * The writing half of a control server on a clock that a test moves, over a fleet whose nodes are ids: for tests of rollouts. Planner
 * and wire are left out; everything between them is the real thing.
 */
export class RolloutWorld {
  nowMs = Date.parse("2026-03-02T06:05:00Z");
  readonly store = new TestStore();
  readonly config: BallastConfig;
  readonly #inputs: Inputs;
  nodes: string[];
  /** What each node uses: true for the epoch's own set. */
  readonly ahead = new Map<string, boolean>();
  /** Nodes whose next activation fails. */
  failing = new Set<string>();
  /** Services whose requests fail at nodes that are ahead, or at all. */
  broken = new Map<string, "ahead" | "all">();
  /** Nodes that do not answer the poller. */
  silent = new Set<string>();
  /** False: the fleet refuses every set. */
  stageOk = true;
  /** False: Envoys do not say who they are. */
  named = true;
  inputs = "inputs 1";
  readonly #counters = new Map<string, { completed: number; failed: number }>();
  /** Targets that can take no request, with the reason. */
  unfit = new Map<string, string>();
  writer!: EpochWriter;
  rollouts!: Rollouts;
  changes!: Changes;
  desk!: ChangeDesk;
  #meter!: RolloutMeter;
  #cohort: Cohort | undefined;

  private constructor(inputs: Inputs, nodes: readonly string[], policy: Partial<RolloutPolicy>) {
    this.#inputs = inputs;
    this.nodes = [...nodes];
    const rollout = { ...inputs.config.rollout, bakeMs: 60_000, telemetryGapMs: 30_000, ...policy };
    this.config = { ...inputs.config, rollout, envoy: { admin: ["http://127.0.0.1:1"] } };
  }

  static async start(
    inputs: Inputs,
    nodes: readonly string[],
    policy: Partial<RolloutPolicy> = {},
  ): Promise<RolloutWorld> {
    const world = new RolloutWorld(inputs, nodes, policy);
    await world.restart();
    await world.write(world.base(), "start");
    await world.settle();
    return world;
  }

  /** Another server takes over: it knows what the store says and no more. */
  async restart(): Promise<void> {
    const { config, store } = this;
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs };
    const wallMs = () => this.nowMs;
    const lease = await store.lease();
    const term = lease.granted ? lease.token : 0;
    const { inForce } = await restoreInForce(store, config);
    const nodeIds = () => this.nodes;
    this.#meter = new RolloutMeter({ lookBackMs: config.rollout.bakeMs });
    this.desk = new ChangeDesk({ store, term, state: await restoreLedger(store), windows: [], nowMs: clock.nowMs });
    this.rollouts = new Rollouts({
      config,
      clock,
      wallMs,
      store,
      term,
      state: await restoreRollouts(store),
      meter: this.#meter,
      clockRate: 1,
      nodeIds,
      restraintOf: () => (this.desk.state.held ? "held" : null),
      inputs: this.inputs,
      log: quiet,
    });
    const flying = this.rollouts.state.flights.map(({ epoch }) => epoch);
    if (inForce !== null) {
      const earlier = await earlierEpochs(store, inForce);
      await settleEarlier(store, inForce, { earlier, flying }, { term, atMs: this.nowMs });
    }
    this.writer = new EpochWriter({
      config,
      clock,
      wallMs,
      estateDigest: "",
      services: this.#inputs.services,
      store,
      fleet: {
        stage: async (_set, { cohort }) => {
          this.#cohort = cohort;
          return this.#outcome("stage", this.stageOk, new Set());
        },
        activate: async () => {
          const cohort = this.#cohort;
          for (const id of this.nodes) this.ahead.set(id, cohort === undefined || positionOf(id) <= cohort.upTo);
          const outcome = this.#outcome("activate", true, this.failing);
          this.failing = new Set();
          return outcome;
        },
        abort() {},
        restore() {},
      },
      rollouts: this.rollouts,
      nodeIds,
      term,
      inForce,
      desk: this.desk,
      model: () => null,
      riskModel: () => null,
      log: quiet,
    });
    this.changes = new Changes({
      config,
      store,
      term,
      writer: this.writer,
      desk: this.desk,
      rollouts: this.rollouts,
      unfit: (_service, target) => this.unfit.get(target) ?? null,
      nowMs: clock.nowMs,
      wallMs,
    });
  }

  #outcome(kind: RoundOutcome["kind"], ok: boolean, failing: ReadonlySet<string>): RoundOutcome {
    const nodes = this.nodes.map((id) => ({
      id,
      instance: "1",
      answer: failing.has(id) ? ("nack" as const) : ("ack" as const),
      afterMs: 1,
    }));
    return {
      kind,
      epoch: 0,
      term: 0,
      version: "",
      quorum: "all",
      ok,
      result: ok ? "proved" : "refused",
      reason: ok ? "" : "for the test",
      tookMs: 2,
      firstAckMs: 1,
      lastAckMs: 2,
      acks: nodes.length,
      nodes,
    };
  }

  /** Time passes, ten requests a second for every service at every node; then the server looks at what is in flight. */
  async pass(ms: number, looks = 1): Promise<void> {
    for (let i = 0; i < looks; i++) {
      this.nowMs += ms / looks;
      this.#meter.add(this.nodes.filter((id) => !this.silent.has(id)).map((id) => this.#reading(id, ms / looks)));
      await this.look();
    }
  }

  async look(): Promise<void> {
    await this.writer.exclusively(false, async () => {
      const due = await this.rollouts.look(this.writer.inForce);
      if (due !== null) await this.rollouts.act(due, this.writer, (plans) => this.changes.unsafe(plans));
    });
  }

  #reading(node: string, ms: number): EnvoyReading {
    const clusters: [string, EnvoyReading["clusters"] extends ReadonlyMap<string, infer C> ? C : never][] = [];
    for (const { name, targets } of this.config.services.values()) {
      const [target] = targets.keys();
      const key = `${node} ${target}`;
      const counter = this.#counters.get(key) ?? { completed: 0, failed: 0 };
      const requests = Math.ceil(ms / 100);
      const broken = this.broken.get(name);
      counter.completed += requests;
      if (broken === "all" || (broken === "ahead" && this.ahead.get(node))) counter.failed += requests;
      this.#counters.set(key, counter);
      const stats = {
        completed: counter.completed,
        errors5xx: counter.failed,
        ejected: 0,
        active: 0,
        latency: new Map(),
      };
      clusters.push([target!, { healthyHosts: 1, totalHosts: 1, statName: target!, stats }]);
    }
    return {
      url: `http://${node}`,
      node: this.named ? node : null,
      atMonotonicMs: this.nowMs,
      uptimeS: null,
      clusters: new Map(clusters),
    };
  }

  /** The services on their base weights. */
  base(): Map<string, PlannedService> {
    return new Map(
      [...this.#inputs.services].map(([name, { policy }]) => [name, this.plan(name, [...policy.basePpm.values()])]),
    );
  }

  /** A plan of one service with these shares; `leaves` must be left because of a window. */
  plan(name: string, shares: readonly number[], leaves: string | null = null): PlannedService {
    const { policy } = this.#inputs.services.get(name)!;
    const targets = [...policy.basePpm].map(([target, basePpm], i) => {
      const weightPpm = shares[i]!;
      const effectPpm = weightPpm - basePpm;
      const kind = target === leaves ? ("window" as const) : ("forecast" as const);
      const causes = effectPpm === 0 && target !== leaves ? [] : [{ kind, ref: "t", effectPpm, text: "for the test" }];
      return { name: target, basePpm, weightPpm, stickyPpm: weightPpm, draining: target === leaves, causes };
    });
    return { name, mode: policy.mode, targets, why: `${name} ${shares.join("/")}`, emergency: false };
  }

  /** As the control loop: what is not free to move stays, what must leave goes out alone. False: nothing was written. */
  async planner(plans: readonly PlannedService[]): Promise<boolean> {
    const inForce = this.writer.inForce!;
    const baseline = this.rollouts.baseline(inForce);
    const byName = new Map(plans.map((plan) => [plan.name, plan]));
    const wanted = [...baseline.plans.values()].map((was) => {
      const plan = byName.get(was.name);
      if (plan === undefined) return was;
      const leaves = plan.targets.some(({ draining }) => draining);
      return leaves || this.rollouts.restraintOf(plan.name) === null ? plan : was;
    });
    const next = nextSet(wanted, false, inForce, this.rollouts);
    const moves = next.services.filter((plan) => changes(plan, inForce.last.get(plan.name)!.plan));
    if (moves.length === 0) return false;
    const draft = draftSet(next.services, next.tables, this.config.tables.slots);
    return this.writer.exclusively(false, () =>
      this.writer.write(
        {
          set: draft.set,
          tables: draft.tables,
          services: next.services,
          ...(next.protective ? { course: "protective" } : {}),
          why: moves.map(({ why }) => why).join("; "),
          trigger: "plan",
          author: { kind: "planner", name: "test" },
          emergency: false,
        },
        { kind: "rule", by: { kind: "rule", name: "test" }, atMs: this.nowMs },
      ),
    );
  }

  async write(plans: ReadonlyMap<string, PlannedService>, trigger: string): Promise<boolean> {
    const services = [...plans.values()];
    const draft = draftSet(services, this.writer.inForce?.tables ?? new Map(), this.config.tables.slots);
    return this.writer.write({
      set: draft.set,
      tables: draft.tables,
      services,
      why: trigger,
      trigger,
      author: { kind: "planner", name: "test" },
      emergency: false,
    });
  }

  /** Until nothing is in flight; throws when something never ends. */
  async settle(): Promise<void> {
    for (let tries = 0; this.rollouts.state.flights.length > 0; tries++) {
      if (tries > 200) throw new Error(`still in flight: ${JSON.stringify(this.rollouts.views)}`);
      await this.pass(15_000);
    }
  }

  weights(service: string): number[] {
    return this.writer.inForce!.last.get(service)!.plan.targets.map(({ weightPpm }) => weightPpm);
  }

  /** Nodes that have what only a part of the fleet has. */
  aheadNow(): string[] {
    return this.rollouts.state.flights.some(isPartial)
      ? this.nodes.filter((id) => this.ahead.get(id))
      : [...this.nodes];
  }

  async state(epoch: number): Promise<string> {
    return (await presentCheckpoint(this.store, epoch))!.state;
  }
}
