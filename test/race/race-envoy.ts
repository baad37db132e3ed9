import { Grpc, type PeerStream } from "../host/grpc.ts";
import { Metrics } from "../host/metrics.ts";
import { SharedStore } from "../host/shared-store.ts";
import { AbiViolation, type Root, type Vm } from "../host/vm.ts";
import { CoroutineVm } from "./coroutine-vm.ts";
import type { Seeded } from "./seeded.ts";

export const MS = 1_000_000n;

/** What a run's checks are told. */
export interface Observer {
  /** A value was written by a VM, in the step that is running. */
  written(vm: CoroutineVm, key: string, value: Uint8Array): void;
  /** A callback of this VM ended. */
  ended(vm: CoroutineVm): Promise<void>;
}

/** A close by the peer, as a callback that need not end before the next step. */
class RaceGrpc extends Grpc {
  readonly #post: RaceEnvoy["post"];
  constructor(envoy: RaceEnvoy) {
    // The strict host's streams ask their Envoy for nothing but `post`.
    super(envoy as never);
    this.#post = (root, run) => envoy.post(root, run);
  }
  override closeByPeer(stream: PeerStream, status: number): void {
    if (stream.peerClosed || stream.ended !== undefined) return;
    stream.peerClosed = true;
    const { root, token } = stream;
    this.#post(root, () => {
      if (stream.ended === undefined) root.vm.call("proxy_on_grpc_close", { root }, root.id, token, status);
    });
  }
}

class ObservedStore extends SharedStore {
  readonly #envoy: RaceEnvoy;
  constructor(envoy: RaceEnvoy) {
    super();
    this.#envoy = envoy;
  }
  override set(vmId: string, key: string, value: Uint8Array, cas: number): number {
    const status = super.set(vmId, key, value, cas);
    if (status === 0) this.#envoy.observer?.written(this.#envoy.current!, key, value);
    return status;
  }
}

/** How the scheduler chooses. */
export interface Schedule {
  /** Probability that the VM of the last step goes on if it can: 0 switches at every host call. */
  stay: number;
  /** Longest time between two steps, in µs. */
  stepUs: number;
  /** Share of the host calls that answer InternalFailure or CasMismatch where the host may. */
  faults: number;
}

const FAULTY = new Set(["proxy_get_shared_data", "proxy_set_shared_data", "proxy_enqueue_shared_queue"]);

/**
 * One Envoy process whose threads' callbacks interleave at every host call. A step starts a callback on an idle VM or takes
 * a suspended one past one host call; a seeded choice says which VM. The clock moves with the steps.
 */
export class RaceEnvoy {
  readonly random: Seeded;
  readonly schedule: Schedule;
  readonly shared: SharedStore;
  readonly metrics = new Metrics();
  readonly grpc: RaceGrpc;
  readonly node = { id: "edge-1", cluster: "demo" };
  readonly module: WebAssembly.Module;
  readonly workers: CoroutineVm[] = [];
  /** The main thread's VM and canaries on it. */
  readonly others: CoroutineVm[] = [];
  nowNs = 1_000_000_000_000n;
  step = 0;
  /** The VM that the running step belongs to. */
  current: CoroutineVm | undefined;
  fatal: unknown;
  observer: Observer | undefined;
  /** Asked about every VM that is suspended at a host call; true stops it there for `ambushMs`, once. */
  ambush: ((vm: CoroutineVm) => boolean) | undefined;
  ambushMs = 0;
  #last: CoroutineVm | undefined;
  readonly #timers: { atNs: bigint; run: () => void | Promise<void> }[] = [];
  #named = 0;

  constructor(module: WebAssembly.Module, random: Seeded, schedule: Schedule) {
    this.module = module;
    this.random = random;
    this.schedule = schedule;
    this.shared = new ObservedStore(this);
    this.grpc = new RaceGrpc(this);
  }

  get vms(): CoroutineVm[] {
    return [...this.others, ...this.workers];
  }

  newVm(name: string): CoroutineVm {
    return new CoroutineVm(this, this.module, `${name}.${this.#named++}`);
  }

  /** A new root of this VM; its on_configure waits for the thread like any other callback. */
  configure(vm: CoroutineVm, configuration: Uint8Array): Root {
    const root = vm.newRoot(configuration);
    this.post(root, () => vm.call("proxy_on_configure", { root, configuration }, root.id, configuration.length));
    return root;
  }

  post(root: Root, run: () => void): void {
    (root.vm as unknown as CoroutineVm).queue.push({ root, run });
  }
  postQueueReady(root: Root, token: number): void {
    this.post(root, () => root.vm.call("proxy_on_queue_ready", { root }, root.id, token));
  }

  /** Runs something of the world outside at a time. */
  at(atNs: bigint, run: () => void | Promise<void>): void {
    this.#timers.push({ atNs, run });
  }

  /** The last listener that used a root has drained: it ends on its thread, between callbacks. */
  dropRoot(root: Root): void {
    this.post(root, () => {
      root.alive = false;
      this.grpc.dropRoot(root);
    });
  }

  destroy(vm: CoroutineVm): void {
    vm.destroyed = true;
    for (const root of vm.roots) {
      root.alive = false;
      this.grpc.dropRoot(root);
    }
  }

  /** Steps until the clock has moved by `ms`. */
  async run(ms: number): Promise<void> {
    const until = this.nowNs + BigInt(ms) * MS;
    while (this.nowNs < until) {
      await this.#runTimers();
      const ready = this.vms.filter((vm) => this.#isReady(vm));
      if (ready.length === 0) {
        this.nowNs = this.#nextEvent(until);
        continue;
      }
      const stays = this.#last !== undefined && ready.includes(this.#last) && this.random.chance(this.schedule.stay);
      const vm = stays ? this.#last! : this.random.pick(ready);
      this.#last = vm;
      this.nowNs += BigInt(this.random.between(1, this.schedule.stepUs)) * 1_000n;
      await this.#take(vm);
    }
  }

  async #take(vm: CoroutineVm): Promise<void> {
    this.step++;
    this.current = vm;
    const wasBusy = vm.busy;
    if (vm.parked !== undefined) await vm.resume(this.#fault(vm.parked.name));
    else await this.#begin(vm);
    if (this.fatal !== undefined) throw this.fatal;
    if (vm.callsInCallback > 20_000) throw new AbiViolation(`${vm.name}: ${vm.callbackName} does not end`);
    if (vm.parked !== undefined && this.ambush?.(vm)) {
      this.ambush = undefined;
      vm.pausedUntilNs = this.nowNs + BigInt(this.ambushMs) * MS;
    }
    if (wasBusy && !vm.busy) await this.observer?.ended(vm);
    this.current = undefined;
  }

  #fault(name: string): number | undefined {
    const { faults } = this.schedule;
    if (faults === 0 || !FAULTY.has(name) || !this.random.chance(faults)) return undefined;
    return name === "proxy_set_shared_data" && this.random.chance(0.5) ? 8 : 10;
  }

  async #begin(vm: CoroutineVm): Promise<void> {
    const due = vm.roots.filter((root) => root.alive && root.tickPeriodMs > 0 && root.nextTickNs <= this.nowNs);
    const choice = this.random.below(due.length + (vm.queue.length > 0 ? 1 : 0));
    const root = due[choice];
    if (root === undefined) {
      const event = vm.queue.shift()!;
      if (event.root.alive) await vm.until(event.run);
      return;
    }
    root.nextTickNs = this.nowNs + BigInt(root.tickPeriodMs) * MS;
    await vm.until(() => vm.call("proxy_on_tick", { root }, root.id));
  }

  #isReady(vm: CoroutineVm): boolean {
    if (!vm.running || vm.pausedUntilNs > this.nowNs) return false;
    if (vm.parked !== undefined || vm.queue.length > 0) return true;
    return vm.roots.some((root) => root.alive && root.tickPeriodMs > 0 && root.nextTickNs <= this.nowNs);
  }

  #nextEvent(until: bigint): bigint {
    let next = until;
    const earlier = (at: bigint): void => {
      if (at > this.nowNs && at < next) next = at;
    };
    for (const { atNs } of this.#timers) earlier(atNs);
    for (const vm of this.vms) {
      if (!vm.running) continue;
      earlier(vm.pausedUntilNs);
      for (const root of vm.roots) if (root.alive && root.tickPeriodMs > 0) earlier(root.nextTickNs);
    }
    return next;
  }

  async #runTimers(): Promise<void> {
    for (let i = 0; i < this.#timers.length; ) {
      const timer = this.#timers[i]!;
      if (timer.atNs > this.nowNs) {
        i++;
        continue;
      }
      this.#timers.splice(i, 1);
      await timer.run();
    }
  }

  /** The root that a listener's new requests go to. */
  static newestRoot(vm: CoroutineVm): Root | undefined {
    return vm.roots.findLast((root) => root.alive);
  }
  static vmOf(root: Root): CoroutineVm {
    return root.vm as Vm as unknown as CoroutineVm;
  }
}
