import { Grpc } from "./grpc.ts";
import { Metrics } from "./metrics.ts";
import { SeededRandom } from "./random.ts";
import { SharedStore } from "./shared-store.ts";
import { type HostCall, PLUGIN, type Plugin, type Request, type Root, Vm } from "./vm.ts";

export interface EnvoyOptions {
  module: WebAssembly.Module;
  configuration: string;
  /** VMs that serve requests; the main thread's VM comes on top and only ticks. */
  workers: number;
  /** Of the bootstrap; empty texts when it has no node, as Envoy answers then. */
  node?: { id: string; cluster: string };
  vmId?: string;
  seed?: number;
  /** False leaves the canary out that Envoy tries a new configuration in. */
  canary?: boolean;
}

export interface RequestResult {
  /** What the steering header holds after the filter, undefined when it was left out. */
  steer: string | undefined;
  headers: Map<string, string>;
  writes: number;
}

/**
 * One Envoy process: a VM per worker and one on the main thread, sharing data, queues and metrics; one fake monotonic
 * clock; an event queue in the order of arrival. Nothing happens unless a test runs it: `run` delivers what is posted,
 * `advance` moves the clock and ticks.
 */
export class Envoy {
  readonly shared = new SharedStore();
  readonly metrics = new Metrics();
  readonly grpc = new Grpc(this);
  readonly random: SeededRandom;
  readonly node: { id: string; cluster: string };
  readonly module: WebAssembly.Module;
  readonly main: Vm;
  readonly workers: Vm[] = [];
  /** What the last canary said. */
  canaryLogs: string[] = [];
  /** Monotonic; starts anywhere but at 0. */
  nowNs = 1_000_000_000_000n;
  /** Called before every host call: a test may run other VMs here, as if this thread were paused, or throw VmKilled. */
  beforeHostCall: ((call: HostCall) => void) | undefined;
  /** A status instead of the call, for seeded faults; undefined lets it through. */
  fault: ((call: HostCall) => number | undefined) | undefined;
  readonly #events: { root: Root; run: () => void }[] = [];
  readonly #vmId: string;

  constructor(options: EnvoyOptions) {
    this.module = options.module;
    this.random = new SeededRandom(options.seed ?? 1);
    this.node = options.node ?? { id: "edge-1", cluster: "demo" };
    this.#vmId = options.vmId ?? "ballast";
    if (options.canary !== false && !this.tryCanary(options.configuration)) throw new Error("configuration refused");
    this.main = this.newVm("main");
    for (let i = 0; i < options.workers; i++) this.workers.push(this.newVm(`worker-${i}`));
    // Phases of the ticks differ between threads as they do in Envoy.
    for (const [i, vm] of this.vms.entries()) {
      const { root } = vm.configure(options.configuration);
      root.nextTickNs += BigInt(i) * 7_000_000n;
    }
  }

  get vms(): Vm[] {
    return [this.main, ...this.workers];
  }

  newVm(name: string): Vm {
    return new Vm(this, this.module, { name, vmId: this.#vmId });
  }

  /** A VM that is configured and destroyed at once, as Envoy does on the main thread for each new configuration. */
  tryCanary(configuration: string, plugin = PLUGIN): boolean {
    const canary = this.newVm("canary");
    const { root, accepted } = canary.configure(configuration, plugin);
    this.destroyVm(canary, root);
    this.canaryLogs = canary.logs.map(({ text }) => text);
    return accepted;
  }

  /** An update, or with another plugin another filter: a new root in every VM that runs; old ones stay until `dropRoot`. */
  update(configuration: string, plugin: Plugin = PLUGIN): boolean {
    if (!this.tryCanary(configuration, plugin)) return false;
    for (const vm of this.vms) if (vm.running) vm.configure(configuration, plugin);
    return true;
  }

  /** The last listener that used a root has drained. */
  dropRoot(root: Root): void {
    root.alive = false;
    this.grpc.dropRoot(root);
  }

  /** FAIL_RELOAD: a fresh VM in the place of a dead one, with the configuration of its newest root. */
  reload(dead: Vm): Vm {
    const { configuration: bytes, plugin } = dead.roots.at(-1)!;
    const configuration = new TextDecoder().decode(bytes);
    this.destroyVm(dead);
    const fresh = this.newVm(`${dead.name}+`);
    const place = this.workers.indexOf(dead);
    if (place < 0) throw new Error("Envoy never reloads the main thread's VM");
    this.workers[place] = fresh;
    fresh.configure(configuration, plugin);
    return fresh;
  }

  destroyVm(vm: Vm, ...more: Root[]): void {
    vm.destroyed = true;
    for (const root of [...vm.roots, ...more]) this.dropRoot(root);
  }

  post(root: Root, run: () => void): void {
    this.#events.push({ root, run });
  }
  postQueueReady(root: Root, token: number): void {
    this.post(root, () => root.vm.call("proxy_on_queue_ready", { root }, root.id, token));
  }

  /** Delivers posted events in order until none is left; those of paused VMs wait. */
  run(): void {
    for (let budget = 100_000; ; budget--) {
      const next = this.#events.findIndex(({ root }) => !root.vm.paused);
      if (next < 0) return;
      if (budget === 0) throw new Error("events without end: the VMs wake each other for ever");
      const [event] = this.#events.splice(next, 1);
      if (event!.root.alive && event!.root.vm.running) event!.run();
    }
  }

  /** Moves the clock on, with every tick at its time and every event it causes. */
  advance(ms: number): void {
    const until = this.nowNs + BigInt(Math.round(ms * 1_000_000));
    this.run();
    for (;;) {
      let due: Root | undefined;
      for (const vm of this.vms) {
        if (!vm.running || vm.paused) continue;
        for (const root of vm.roots) {
          if (!root.alive || root.tickPeriodMs === 0 || root.nextTickNs > until) continue;
          if (due === undefined || root.nextTickNs < due.nextTickNs) due = root;
        }
      }
      if (due === undefined) break;
      if (due.nextTickNs > this.nowNs) this.nowNs = due.nextTickNs;
      // A thread that was stuck ticks once and goes on from there: timers are re-armed when they fire.
      due.nextTickNs = this.nowNs + BigInt(due.tickPeriodMs) * 1_000_000n;
      due.vm.call("proxy_on_tick", { root: due }, due.id);
      this.run();
    }
    this.nowNs = until;
  }

  /** One request on a worker, in its newest living root. */
  request(
    worker: Vm | number,
    options: { route?: string; headers?: Record<string, string>; steerHeader?: string; root?: Root } = {},
  ): RequestResult {
    const vm = typeof worker === "number" ? this.workers[worker]! : worker;
    const root = options.root ?? vm.roots.findLast((candidate) => candidate.alive);
    if (root === undefined) throw new Error(`${vm.name} has no root`);
    const request: Request = {
      headers: new Map(Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
      routeName: options.route,
      writes: 0,
    };
    const action = vm.call("proxy_on_request_headers", { root, request }, vm.requestContext(), request.headers.size, 1);
    if (vm.running && action !== 0) throw new Error(`the filter answered ${action} instead of Continue`);
    return {
      steer: request.headers.get(options.steerHeader ?? "x-ballast-target"),
      headers: request.headers,
      writes: request.writes,
    };
  }
}
