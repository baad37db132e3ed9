import { decodeTable } from "../../control/table/codec.ts";
import type { TableSet, WeightTable } from "../../control/table/table.ts";
import type { Envoy } from "../host/envoy.ts";
import { deploy, settle, splitSet, start } from "../host/fixtures.ts";
import type { Root, Vm } from "../host/vm.ts";
import type { XdsPeer } from "../host/xds-peer.ts";
import { startNonces } from "./messages.ts";

/** Host calls that one input may cost, everything that follows from it included. */
const MAX_CALLS_PER_INPUT = 20_000;
const MS = 1_000_000n;
export const SERVICE = "payments";

/** An Envoy that serves a good set, and the means to see that it goes on doing so. */
export class Rig {
  readonly envoy: Envoy;
  readonly peer: XdsPeer;
  /** Tables of every sound set that the filter was ever offered, by the set's digest. */
  readonly sound = new Map<bigint, Map<string, WeightTable>>();
  readonly #memoryBytes: number[];
  #calls = 0;

  constructor(seed: number, config: Record<string, unknown> = {}) {
    startNonces(seed);
    const started = start({
      seed,
      workers: 2,
      config: { max_services: 16, max_set_bytes: 65_536, ...config },
    });
    this.envoy = started.envoy;
    this.peer = started.peer;
    const receive = this.envoy.grpc.onMessage!;
    this.envoy.grpc.onMessage = (stream, bytes) => {
      try {
        receive(stream, bytes);
      } catch (thrown) {
        // A nonce that is no UTF-8 comes back as it was sent.
        if (!(thrown instanceof TypeError && thrown.message.includes("utf-8"))) throw thrown;
      }
    };
    this.envoy.beforeHostCall = () => {
      if (++this.#calls > MAX_CALLS_PER_INPUT) throw new Error("host calls without end");
    };
    settle(this.envoy);
    this.#calls = 0;
    this.goodEpoch(1);
    this.#memoryBytes = this.envoy.vms.map((vm) => vm.memoryBytes);
  }

  get leader(): Root | undefined {
    return this.envoy.grpc.live[0]?.root;
  }

  learn(set: TableSet): void {
    this.sound.set(set.digest, new Map(set.tables.map(({ service, bytes }) => [service, decodeTable(bytes)])));
  }

  /** Deploys a good set, which must be taken. */
  goodEpoch(epoch: number, term = 1): void {
    const set = splitSet(SERVICE, (epoch * 37) % 257);
    this.learn(set);
    this.#calls = 0;
    this.peer.requests.length = 0;
    // Its table may be one that was asked for, and not given, in a response before.
    this.peer.forgetSent();
    deploy(this.envoy, this.peer, epoch, set, term);
    this.#calls = 0;
  }

  /** A message on the leader's stream, delivered at once; opens the stream again first when the filter gave it up. */
  deliver(message: Uint8Array): void {
    this.#calls = 0;
    // Longer than the longest back-off.
    for (let i = 0; i < 8 && this.leader === undefined; i++) this.beat(7_600);
    const root = this.leader;
    if (root === undefined) throw new Error("the stream does not come back");
    this.envoy.grpc.deliver(this.envoy.grpc.live[0]!, message);
    this.envoy.run();
  }

  /** Time passes and every VM ticks once. */
  beat(ms: number): void {
    this.#calls = 0;
    this.envoy.nowNs += BigInt(ms) * MS;
    for (const vm of this.envoy.vms) {
      for (const root of vm.roots) if (root.alive) vm.call("proxy_on_tick", { root }, root.id);
    }
    this.envoy.run();
  }

  /** The active set of the header in shared data. */
  get active(): { epoch: bigint; digest: bigint; term: bigint; mode: number; seenEpoch: bigint; seenTerm: bigint } {
    const key = this.envoy.shared.keys("ballast", "/h").find((name) => name.split("/")[3]!.startsWith("h"))!;
    const { value } = this.envoy.shared.get("ballast", key)!;
    const view = new DataView(value.buffer, value.byteOffset);
    return {
      seenEpoch: view.getBigUint64(0, true),
      seenTerm: view.getBigUint64(16, true),
      epoch: view.getBigUint64(64, true),
      digest: view.getBigUint64(72, true),
      term: view.getBigUint64(80, true),
      mode: view.getUint32(92, true),
    };
  }

  /** No VM trapped, memory is as it was, and both workers answer from the active set, which is a sound one. */
  check(): void {
    this.checkVms();
    const { digest, mode } = this.active;
    const tables = this.sound.get(digest);
    if (tables === undefined) throw new Error(`the active set ${digest} was never offered as a sound one`);
    const table = tables.get(SERVICE);
    for (const worker of this.envoy.workers) {
      const { steer } = this.envoy.request(worker, { route: SERVICE });
      if (mode !== 1 || table === undefined || table.observe) {
        if (steer !== undefined) throw new Error(`${worker.name} wrote ${steer} where requests are to be left alone`);
      } else if (!table.targets.some(({ name, orderQuota }) => name === steer && orderQuota > 0)) {
        throw new Error(`${worker.name} wrote ${steer}, which is no target of the active set`);
      }
    }
    this.forget();
  }

  checkVms(): void {
    for (const [i, vm] of this.envoy.vms.entries()) {
      if (vm.trapped !== undefined) throw new Error(`${vm.name} trapped`, { cause: vm.trapped });
      if (vm.memoryBytes !== this.#memoryBytes[i]) throw new Error(`${vm.name} has ${vm.memoryBytes} bytes`);
    }
  }

  /** What the strict host keeps for tests. */
  forget(): void {
    for (const vm of this.envoy.vms) {
      vm.calls.length = 0;
      vm.logs.length = 0;
    }
    if (this.peer.requests.length > 2_000) this.peer.requests.splice(0, 1_000);
  }

  replaceWorker(vm: Vm): void {
    const i = this.envoy.vms.indexOf(vm);
    const fresh = this.envoy.reload(vm);
    if (fresh.memoryBytes !== this.#memoryBytes[i]) throw new Error(`${fresh.name} has ${fresh.memoryBytes} bytes`);
  }
}
