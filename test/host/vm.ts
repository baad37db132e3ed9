import { ALLOWED_IN_INITIALIZE, ALLOWED_IN_MALLOC, EXPORTS, IMPORTS, Status } from "./abi.ts";
import type { Envoy } from "./envoy.ts";
import { imports } from "./imports.ts";

/** By what Envoy tells the filters of a VM apart; both may be empty. */
export interface Plugin {
  readonly name: string;
  readonly rootId: string;
}
export const PLUGIN: Plugin = { name: "ballast", rootId: "" };

/** One root context: one plugin configuration inside a VM. */
export interface Root {
  readonly vm: Vm;
  readonly id: number;
  readonly configuration: Uint8Array;
  readonly plugin: Plugin;
  /** Set by proxy_set_tick_period_milliseconds; 0 is off. */
  tickPeriodMs: number;
  /** Monotonic time of the next tick; meaningless while the period is 0. */
  nextTickNs: bigint;
  /** False once Envoy destroyed the root: its streams vanish without a callback, its ticks end, its queues wake nobody. */
  alive: boolean;
  /** Open streams by token. */
  readonly streams: Set<number>;
}

/** What a callback may look at. Set for the time of the callback only; everything in it is invalid afterwards. */
export interface Callback {
  readonly root: Root;
  readonly configuration?: Uint8Array;
  readonly grpcMessage?: Uint8Array;
  readonly request?: Request;
}

export interface Request {
  /** Lower-case names; the values that the filter left behind. */
  readonly headers: Map<string, string>;
  readonly routeName: string | undefined;
  /** Writes by the filter; the first one clears the route cache. */
  writes: number;
}

export interface HostCall {
  readonly vm: Vm;
  readonly name: string;
  /** The callback during which it was made; undefined during _initialize. */
  readonly callback: string | undefined;
}

/** The module broke a rule of the ABI. Never a status: Envoy would refuse the module, trap or read foreign memory. */
export class AbiViolation extends Error {
  override name = "AbiViolation";
}

/**
 * One VM of a proxy-wasm module on this process's V8, as strict as Envoy or stricter: unknown or mistyped imports and
 * unknown exports fail the load, restricted calls fail, every pointer is checked. A trap kills the VM, as in Envoy.
 */
export class Vm {
  readonly envoy: Envoy;
  readonly name: string;
  readonly vmId: string;
  readonly roots: Root[] = [];
  /** Every host call in order, names only; cleared by the test when it likes. */
  readonly calls: string[] = [];
  readonly logs: { level: number; text: string }[] = [];
  /** The trap that ended this VM, if one did. A dead VM runs nothing. */
  trapped: unknown;
  /** Set by tests: the thread is stuck and neither ticks nor is woken. */
  paused = false;
  /** Destroyed by Envoy. */
  destroyed = false;
  /** While set, host calls add their time to `hostMs`, so that a callback's own time can be told. */
  timed = false;
  hostMs = 0;
  #instance: WebAssembly.Instance;
  #memory: WebAssembly.Memory;
  #state: "initialize" | "idle" | "callback" = "initialize";
  #mallocDepth = 0;
  #callback: Callback | undefined;
  #callbackName: string | undefined;
  #nextContext = 1;

  constructor(envoy: Envoy, module: WebAssembly.Module, options: { name: string; vmId: string }) {
    this.envoy = envoy;
    this.name = options.name;
    this.vmId = options.vmId;
    checkModule(module);
    const functions = imports(this);
    const guarded: WebAssembly.Imports = {};
    for (const [space, names] of Object.entries(IMPORTS)) {
      guarded[space] = {};
      for (const name of Object.keys(names)) {
        const call = functions[name];
        if (call === undefined) throw new Error(`the host lists ${name} and does not serve it`);
        guarded[space][name] = (...args: never[]) => this.#guard(name, call, args);
      }
    }
    this.#instance = new WebAssembly.Instance(module, guarded);
    this.#memory = this.#instance.exports.memory as WebAssembly.Memory;
    // Optional for Envoy too.
    if (this.#instance.exports._initialize !== undefined) this.#export("_initialize")();
    this.#state = "idle";
  }

  get running(): boolean {
    return this.trapped === undefined && !this.destroyed;
  }
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }
  /** The callback in progress; throws outside of one, since nothing that it gives is valid then. */
  get callback(): Callback {
    if (this.#callback === undefined) throw new AbiViolation(`${this.name}: a host call outside of a callback`);
    return this.#callback;
  }

  /** A new root context, configured. False when the module refused the configuration. */
  configure(configuration: string | Uint8Array, plugin = PLUGIN): { root: Root; accepted: boolean } {
    const bytes = typeof configuration === "string" ? new TextEncoder().encode(configuration) : configuration;
    const root: Root = {
      vm: this,
      id: this.#nextContext++,
      configuration: bytes,
      plugin,
      tickPeriodMs: 0,
      nextTickNs: 0n,
      alive: true,
      streams: new Set(),
    };
    this.roots.push(root);
    const accepted = this.call("proxy_on_configure", { root, configuration: bytes }, root.id, bytes.length);
    return { root, accepted: accepted === 1 };
  }

  requestContext(): number {
    return this.#nextContext++;
  }

  /** Runs an export as a callback; undefined when the VM is dead or this call kills it. */
  call(name: string, callback: Callback, ...args: number[]): number | undefined {
    if (!this.running) return undefined;
    // Envoy runs callbacks of one VM one after another; a host call may run another VM (see Envoy.beforeHostCall), not this one.
    if (this.#state !== "idle") throw new Error(`${this.name}: ${name} while ${this.#callbackName} runs`);
    this.#state = "callback";
    this.#callback = callback;
    this.#callbackName = name;
    try {
      return this.#export(name)(...args) as number | undefined;
    } catch (error) {
      if (error instanceof AbiViolation) throw error;
      if (!(error instanceof WebAssembly.RuntimeError) && !(error instanceof VmKilled)) throw error;
      this.trapped = error;
      return undefined;
    } finally {
      this.#state = "idle";
      this.#callback = undefined;
      this.#callbackName = undefined;
    }
  }

  /** Bytes of the guest, checked and copied. */
  read(pointer: number, length: number): Uint8Array {
    return this.#view(pointer, length).slice();
  }
  text(pointer: number, length: number): string {
    return new TextDecoder("utf-8", { fatal: true }).decode(this.read(pointer, length));
  }
  writeU32(pointer: number, value: number): void {
    const bytes = this.#view(pointer, 4);
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, value, true);
  }
  writeU64(pointer: number, value: bigint): void {
    const bytes = this.#view(pointer, 8);
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, value, true);
  }
  write(pointer: number, bytes: Uint8Array): void {
    this.#view(pointer, bytes.length).set(bytes);
  }

  /** Hands a value over through the guest's malloc, as copyToPointerSize of proxy-wasm-cpp-host: nothing is allocated for 0 bytes. */
  giveValue(value: Uint8Array, pointerOut: number, lengthOut: number): number {
    let pointer = 0;
    if (value.length > 0) {
      this.#mallocDepth++;
      try {
        pointer = (this.#export("malloc")(value.length) as number) >>> 0;
      } finally {
        this.#mallocDepth--;
      }
      if (pointer === 0) return Status.InvalidMemoryAccess;
      this.write(pointer, value);
    }
    this.writeU32(pointerOut, pointer);
    this.writeU32(lengthOut, value.length);
    return Status.Ok;
  }

  #guard(name: string, call: (...args: never[]) => number, args: never[]): number {
    if (this.#mallocDepth > 0 && !ALLOWED_IN_MALLOC.has(name)) throw new AbiViolation(`${name} during malloc`);
    if (this.#state === "initialize" && !ALLOWED_IN_INITIALIZE.has(name)) {
      throw new AbiViolation(`${name} during _initialize`);
    }
    this.calls.push(name);
    const hostCall: HostCall = { vm: this, name, callback: this.#callbackName };
    this.envoy.beforeHostCall?.(hostCall);
    const fault = this.envoy.fault?.(hostCall);
    if (!this.timed || this.#mallocDepth > 0) return fault ?? call(...args);
    const sinceMs = performance.now();
    try {
      return fault ?? call(...args);
    } finally {
      this.hostMs += performance.now() - sinceMs;
    }
  }

  // A fresh view for every access: memory.grow detaches the buffer.
  #view(pointer: number, length: number): Uint8Array {
    const buffer = this.#memory.buffer;
    const from = pointer >>> 0;
    const size = length >>> 0;
    if (from + size > buffer.byteLength) {
      throw new AbiViolation(`${this.name}: ${size} bytes at ${from} lie outside of memory (${buffer.byteLength})`);
    }
    return new Uint8Array(buffer, from, size);
  }

  #export(name: string): (...args: number[]) => unknown {
    const found = this.#instance.exports[name];
    if (typeof found !== "function") throw new AbiViolation(`the module does not export ${name}`);
    return found as (...args: number[]) => unknown;
  }
}

/** Thrown by a test's `beforeHostCall` to make the VM trap inside this very host call. */
export class VmKilled extends Error {
  override name = "VmKilled";
}

/** What Envoy checks at load, and that nothing is exported which it would never call. */
function checkModule(module: WebAssembly.Module): void {
  for (const { module: space, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function" || IMPORTS[space]?.[name] === undefined) {
      throw new AbiViolation(`unknown import: ${space}.${name} (${kind})`);
    }
  }
  const exported = WebAssembly.Module.exports(module);
  for (const { name, kind } of exported) {
    const known = name === "memory" ? kind === "memory" : kind === "function" && EXPORTS[name] !== undefined;
    if (!known) throw new AbiViolation(`unknown export: ${name} (${kind})`);
  }
  for (const name of ["memory", "malloc", "proxy_abi_version_0_2_1"]) {
    if (!exported.some((entry) => entry.name === name)) throw new AbiViolation(`missing export: ${name}`);
  }
}
