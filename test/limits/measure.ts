import type { Envoy } from "../host/envoy.ts";
import type { Vm } from "../host/vm.ts";

export interface Measured {
  callback: string;
  vm: string;
  hostCalls: number;
  /** Bytes handed to and taken from the guest: values of shared data, messages. */
  bytes: number;
  /** Time in the guest alone. */
  guestMs: number;
  /** With the strict host's share, which copies every value once more than Envoy does. */
  wholeMs: number;
}

/** Records every callback of every VM from now on. */
export function measure(envoy: Envoy): Measured[] {
  const measured: Measured[] = [];
  const { shared } = envoy;
  let bytes = 0;
  const get = shared.get.bind(shared);
  const set = shared.set.bind(shared);
  shared.get = (vmId, key) => {
    const found = get(vmId, key);
    bytes += found?.value.length ?? 0;
    return found;
  };
  shared.set = (vmId, key, value, cas) => {
    bytes += value.length;
    return set(vmId, key, value, cas);
  };
  for (const vm of envoy.vms) {
    const call = vm.call.bind(vm);
    vm.timed = true;
    vm.call = (...args: Parameters<Vm["call"]>): number | undefined => {
      vm.hostMs = 0;
      vm.calls.length = 0;
      bytes = args[1].grpcMessage?.length ?? 0;
      const sinceMs = performance.now();
      const result = call(...args);
      const wholeMs = performance.now() - sinceMs;
      const guestMs = Math.max(0, wholeMs - vm.hostMs);
      measured.push({ callback: args[0], vm: vm.name, hostCalls: vm.calls.length, bytes, guestMs, wholeMs });
      return result;
    };
  }
  return measured;
}

/** The same run repeated: callback by callback the least time, which is the one that nothing else disturbed. */
export function leastOf(runs: readonly Measured[][]): Measured[] {
  const [first, ...rest] = runs;
  for (const run of rest) {
    if (run.length !== first!.length)
      throw new Error(`${run.length} callbacks in place of ${first!.length}: not the same run`);
  }
  return first!.map((entry, i) => ({
    ...entry,
    guestMs: Math.min(...runs.map((run) => run[i]!.guestMs)),
    wholeMs: Math.min(...runs.map((run) => run[i]!.wholeMs)),
  }));
}

export function longest(measured: readonly Measured[], callback?: string): Measured {
  const of = callback === undefined ? measured : measured.filter((entry) => entry.callback === callback);
  return of.reduce((a, b) => (b.guestMs > a.guestMs ? b : a));
}

/** Milliseconds for hashing 1 MiB byte by byte (FNV-1a) in JavaScript: what this machine gives at this moment. */
export function referenceMs(): number {
  const bytes = new Uint8Array(1 << 20).fill(7);
  const once = (): number => {
    const sinceMs = performance.now();
    let hash = 0x811c9dc5;
    for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    if (hash === 0) throw new Error("unused");
    return performance.now() - sinceMs;
  };
  return Math.min(...Array.from({ length: 30 }, once));
}
