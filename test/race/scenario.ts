import { Mode } from "../../control/xds/proto/ballast_pb.js";
import { VmKilled } from "../host/vm.ts";
import { Checks } from "./checks.ts";
import { ControlServer, versionOf } from "./control-server.ts";
import type { CoroutineVm } from "./coroutine-vm.ts";
import { MS, RaceEnvoy } from "./race-envoy.ts";
import { Seeded } from "./seeded.ts";
import { World } from "./world.ts";

const WORKERS = 8;

export interface Outcome {
  counts: Record<string, number>;
  mishaps: Record<string, number>;
  nacks: readonly string[];
}

/** One seed: a time of mishaps, then quiet, then the state in which everything must be. Throws when an invariant is broken. */
export async function runSeed(module: WebAssembly.Module, seed: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const large = random.chance(0.12);
  const world = new World(large ? random.between(97, 140) : random.between(1, 5));
  const envoy = new RaceEnvoy(module, random, {
    stay: random.pick([0, 0.3, 0.8, 0.95]),
    stepUs: random.pick([20, 60, large ? 60 : 300]),
    faults: random.chance(0.15) ? 0.01 : 0,
  });
  const checks = new Checks(envoy, world);
  const server = new ControlServer(envoy, world, checks);
  const mishaps = new Mishaps(envoy, server, random);

  await mishaps.startVms();
  const seconds = random.between(3, large ? 6 : 14);
  for (let i = 0; i < seconds * 5; i++) {
    await mishaps.maybe();
    await envoy.run(random.between(20, 380));
    assertHealthy(envoy);
  }
  await mishaps.quiet();
  await assertConverges(envoy, server, checks);
  const counts = { steps: envoy.step, epochs: checks.activations.length, requests: checks.asked, ...server.counts };
  return { counts, mishaps: mishaps.counts, nacks: server.nacks };
}

/**
 * A leader that is stopped at the nth host call of `callback` while an epoch comes in, until another leads and has brought
 * two epochs more, and then goes on. False when that callback makes fewer calls.
 */
export async function runTakeover(module: WebAssembly.Module, callback: string, nth: number): Promise<boolean> {
  const random = new Seeded(nth);
  const world = new World(4);
  const envoy = new RaceEnvoy(module, random, { stay: 0.5, stepUs: 60, faults: 0 });
  const checks = new Checks(envoy, world);
  const server = new ControlServer(envoy, world, checks);
  const mishaps = new Mishaps(envoy, server, random);
  await mishaps.startVms();
  await envoy.run(3_000);
  for (let i = 0; i < 3; i++) {
    server.push({ mode: Mode.STEER });
    await envoy.run(2_000);
  }
  const stopped = RaceEnvoy.vmOf(envoy.grpc.live[0]!.root);
  let passed = nth;
  envoy.ambushMs = 9_000;
  envoy.ambush = (vm) => vm === stopped && vm.callbackName === callback && passed-- <= 0;
  server.push({ mode: Mode.STEER });
  await envoy.run(500);
  if (stopped.pausedUntilNs === 0n) return false;
  // Given up before the next leader is there: what that one writes next goes where the stopped one is about to write.
  server.abort();
  await envoy.run(3_500);
  for (let i = 0; i < 2; i++) {
    server.push({ mode: Mode.STEER });
    await envoy.run(2_200);
  }
  await envoy.run(1_500);
  await assertConverges(envoy, server, checks);
  return true;
}

function assertHealthy(envoy: RaceEnvoy): void {
  for (const vm of envoy.vms) {
    if (vm.trapped !== undefined && !(vm.trapped instanceof VmKilled)) {
      throw new Error(`${vm.name} trapped`, { cause: vm.trapped });
    }
  }
  // Who wakes takes one entry out and puts one in; of several that do so at once each may leave one.
  if (envoy.shared.longestQueue > WORKERS + 4) throw new Error(`a queue holds ${envoy.shared.longestQueue} entries`);
}

/** After quiet time: one stream, the committed epoch everywhere, and the next one goes through. */
async function assertConverges(envoy: RaceEnvoy, server: ControlServer, checks: Checks): Promise<void> {
  await envoy.run(9_000);
  server.commit();
  await envoy.run(4_000);
  assertHealthy(envoy);
  if (envoy.grpc.live.length !== 1) throw new Error(`${envoy.grpc.live.length} streams after quiet time`);
  const { committed } = server;
  const last = checks.activations.at(-1);
  if (committed !== undefined && !committed.refused && committed.epoch !== last?.epoch) {
    throw new Error(
      `after quiet time epoch ${last?.epoch} is active in place of ${committed.epoch}; ${server.nacks.slice(-3)}`,
    );
  }
  if (committed !== undefined && !committed.refused && !committed.activated && !isRefusedByQuarantine(server)) {
    throw new Error(`the activation of ${versionOf(committed)} was never acknowledged; ${server.nacks.slice(-3)}`);
  }
  if (committed !== undefined && !committed.refused) await assertAllServe(envoy, checks);
  const fresh = server.push({ mode: Mode.STEER });
  await envoy.run(2_500);
  if (!fresh.staged || !fresh.activated) {
    throw new Error(
      `the last epoch ${versionOf(fresh)} was ${fresh.staged ? "staged, not activated" : "not staged"}; ${server.nacks.slice(-3)}`,
    );
  }
  await assertAllServe(envoy, checks);
}

/** Every VM serves what was activated last, save one that starts empty on purpose. */
async function assertAllServe(envoy: RaceEnvoy, checks: Checks): Promise<void> {
  for (const vm of [envoy.others[0]!, ...envoy.workers]) {
    while (vm.running && vm.busy) await envoy.run(1);
    if (!vm.running || checks.isQuarantined(vm)) continue;
    const last = checks.activations.length - 1;
    const rank = await checks.ask(vm, last);
    if (rank !== last && checks.activations[last]!.mode === Mode.STEER) {
      throw new Error(`${vm.name} does not serve activation ${last}: ${vm.logs.map(({ text }) => text).join(", ")}`);
    }
  }
}

/** A VM that started empty on purpose refuses the epoch at which it trapped. */
function isRefusedByQuarantine(server: ControlServer): boolean {
  return server.nacks.some((nack) => nack.includes("SEED_QUARANTINED"));
}

/** What goes wrong, and its repair. */
class Mishaps {
  readonly #envoy: RaceEnvoy;
  readonly #server: ControlServer;
  readonly #random: Seeded;
  readonly counts: Record<string, number> = {};
  readonly #rates: [name: string, rate: number, act: () => void | Promise<void>][];
  #configuration: Uint8Array;

  constructor(envoy: RaceEnvoy, server: ControlServer, random: Seeded) {
    this.#envoy = envoy;
    this.#server = server;
    this.#random = random;
    this.#configuration = encode({});
    const rate = (most: number): number => (random.chance(0.5) ? most * random.pick([0.3, 1]) : 0);
    this.#rates = [
      ["push", 0.35, () => this.#push()],
      ["commit", 0.06, () => this.#server.commit()],
      ["abort", 0.04, () => this.#server.abort()],
      ["mode", 0.04, () => this.#server.changeMode()],
      ["request", 0.5, () => this.#request()],
      ["restart", rate(0.03), () => this.#server.restart()],
      ["hang-up", rate(0.06), () => this.#hangUp()],
      ["unreachable", rate(0.04), () => this.#cutOff()],
      ["kill", rate(0.12), () => this.#kill()],
      ["replace", rate(0.06), () => this.#replace()],
      ["pause", rate(0.3), () => this.#pause()],
      ["ambush", rate(0.3), () => this.#ambush()],
      ["jump", rate(0.06), () => this.#jump()],
      ["update", rate(0.06), () => this.#update()],
      ["canary", rate(0.05), () => this.#canary()],
    ];
  }

  async startVms(): Promise<void> {
    const { workers, others } = this.#envoy;
    others.push(this.#envoy.newVm("main"));
    for (let i = 0; i < WORKERS; i++) workers.push(this.#envoy.newVm("worker"));
    for (const vm of this.#envoy.vms) this.#envoy.configure(vm, this.#configuration);
    if (this.#random.chance(0.7)) await this.#envoy.run(1_600);
  }

  async maybe(): Promise<void> {
    for (const [name, rate, act] of this.#rates) {
      if (!this.#random.chance(rate)) continue;
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      await act();
    }
  }

  /** Everything is repaired and stays so. */
  async quiet(): Promise<void> {
    for (const vm of this.#envoy.vms) vm.pausedUntilNs = 0n;
    this.#envoy.ambush = undefined;
    this.#envoy.grpc.reachable = true;
    this.#envoy.schedule.faults = 0;
    await this.#envoy.run(3_500);
  }

  #push(): void {
    if (this.#server.mayPush) this.#server.push();
  }

  #request(): void {
    const vm = this.#random.pick(this.#envoy.workers);
    const root = RaceEnvoy.newestRoot(vm);
    if (root === undefined) return;
    const request = { headers: new Map<string, string>(), routeName: "s0", writes: 0 };
    this.#envoy.post(root, () => root.vm.call("proxy_on_request_headers", { root, request }, 1_000_000, 0, 1));
  }

  #hangUp(): void {
    const { live } = this.#envoy.grpc;
    if (live.length > 0) this.#envoy.grpc.closeByPeer(this.#random.pick(live), 14);
  }

  #cutOff(): void {
    const { grpc } = this.#envoy;
    grpc.reachable = false;
    for (const stream of grpc.live) grpc.closeByPeer(stream, 14);
    this.#after(this.#random.between(200, 3_000), () => {
      grpc.reachable = true;
    });
  }

  /** A trap in the middle of whatever the VM does; Envoy reloads a worker at a later request. */
  async #kill(): Promise<void> {
    const vm = this.#someVm();
    if (vm === undefined) return;
    if (vm.parked !== undefined) await vm.kill();
    else this.#envoy.destroy(vm);
    this.#reloadLater(vm);
  }

  #reloadLater(dead: CoroutineVm): void {
    const place = this.#envoy.workers.indexOf(dead);
    // The main thread's VM is never reloaded.
    if (place < 0) {
      this.#envoy.destroy(dead);
      return;
    }
    this.#after(this.#random.between(5, 2_500), () => {
      this.#envoy.destroy(dead);
      const fresh = this.#envoy.newVm("reloaded");
      this.#envoy.workers[place] = fresh;
      this.#envoy.configure(fresh, this.#configuration);
    });
  }

  /** The VM goes without a trap, as when its last listener is removed, and another takes its place. */
  #replace(): void {
    const vm = this.#someVm();
    if (vm === undefined || vm === this.#envoy.others[0]) return;
    this.#envoy.destroy(vm);
    this.#reloadLater(vm);
  }

  /** A thread that gets no time; rather one that reads or writes shared data, or leads. */
  #pause(): void {
    const { vms, grpc, nowNs } = this.#envoy;
    const inShared = vms.filter((vm) => vm.running && vm.parked?.name.includes("shared_data"));
    const leading = grpc.live.map((stream) => RaceEnvoy.vmOf(stream.root));
    const from = [inShared, leading, vms.filter((vm) => vm.running)].filter((list) => list.length > 0);
    if (from.length === 0) return;
    const vm = this.#random.pick(this.#random.pick(from));
    vm.pausedUntilNs = nowNs + BigInt(this.#random.pick([30, 400, 1_300, 2_500, 5_000])) * MS;
  }

  /** As a pause, at a point that chance alone seldom meets: in one of the writers' and readers' sequences over shared data. */
  #ambush(): void {
    const callback = this.#random.pick([
      "proxy_on_grpc_receive",
      "proxy_on_grpc_receive",
      "proxy_on_queue_ready",
      "proxy_on_tick",
    ]);
    const name = this.#random.pick(["proxy_get_shared_data", "proxy_set_shared_data", "proxy_grpc_send"]);
    let passed = this.#random.below(12);
    this.#envoy.ambushMs = this.#random.pick([600, 1_300, 2_500, 4_000]);
    this.#envoy.ambush = (vm) => vm.callbackName === callback && vm.parked!.name === name && passed-- <= 0;
  }

  /** The whole process gets no time, or the machine slept. */
  #jump(): void {
    this.#envoy.nowNs += BigInt(this.#random.between(200, 8_000)) * MS;
  }

  /** A new configuration: a new root in every VM, each at its own time; the old ones drain. */
  #update(): void {
    this.#configuration = encode({ session_from: { cookie: `c${this.#random.below(1_000)}` } });
    for (const vm of this.#envoy.vms) {
      if (!vm.running) continue;
      const olds = vm.roots.filter((root) => root.alive);
      this.#envoy.configure(vm, this.#configuration);
      const drainMs = this.#random.pick([0, 50, 1_200, 4_000]);
      this.#after(drainMs, () => {
        for (const root of olds) if (vm.running) this.#envoy.dropRoot(root);
      });
    }
  }

  /** Configured on the main thread and destroyed before it ticks. */
  #canary(): void {
    const canary = this.#envoy.newVm("canary");
    this.#envoy.others.push(canary);
    const root = this.#envoy.configure(canary, this.#configuration);
    this.#envoy.post(root, () => {
      this.#envoy.destroy(canary);
      this.#envoy.others.splice(this.#envoy.others.indexOf(canary), 1);
    });
  }

  #someVm(): CoroutineVm | undefined {
    const running = [this.#envoy.others[0]!, ...this.#envoy.workers].filter((vm) => vm.running);
    const workers = running.filter((vm) => vm !== this.#envoy.others[0] || this.#random.chance(0.1));
    return workers.length > 0 ? this.#random.pick(workers) : undefined;
  }

  #after(ms: number, run: () => void): void {
    this.#envoy.at(this.#envoy.nowNs + BigInt(ms) * MS, run);
  }
}

function encode(fields: object): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({ control_cluster: "control", max_services: 256, max_set_bytes: 200_000, ...fields }),
  );
}
