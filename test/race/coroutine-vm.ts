import { ALLOWED_IN_MALLOC, IMPORTS, Status } from "../host/abi.ts";
import { imports } from "../host/imports.ts";
import { AbiViolation, type Callback, PLUGIN, type Root, type Vm, VmKilled } from "../host/vm.ts";
import type { RaceEnvoy } from "./race-envoy.ts";

/** A host call at which the VM's stack is suspended. */
export interface Parked {
  readonly name: string;
  readonly run: () => number;
  readonly resolve: (status: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A VM whose callbacks run on a stack of their own that is suspended at every host call (JavaScript Promise Integration),
 * so that the callbacks of several VMs interleave as those of Envoy's threads do, under one scheduler. Its host calls are
 * those of the strict host.
 */
export class CoroutineVm {
  readonly envoy: RaceEnvoy;
  readonly name: string;
  readonly vmId = "ballast";
  readonly roots: Root[] = [];
  readonly logs: { level: number; text: string }[] = [];
  /** Callbacks that wait for this thread, oldest first. */
  readonly queue: { root: Root; run: () => void }[] = [];
  trapped: unknown;
  destroyed = false;
  /** The thread is stuck until then (monotonic ns); it may be in the middle of a callback. */
  pausedUntilNs = 0n;
  parked: Parked | undefined;
  /** Step at which the callback in progress began. */
  callbackSince = 0;
  callbackName: string | undefined;
  /** Host calls of the callback in progress. */
  callsInCallback = 0;
  /** Above this address lies nothing that the host handed over. */
  afterHandedOver = 0;
  result: unknown;
  readonly #memory: { buffer: ArrayBuffer };
  readonly #exports: Record<string, unknown>;
  readonly #promising = new Map<string, (...args: number[]) => Promise<unknown>>();
  #callback: Callback | undefined;
  #direct = false;
  #notify: () => void = () => {};
  #nextContext = 1;
  #inMalloc = false;

  constructor(envoy: RaceEnvoy, module: WebAssembly.Module, name: string) {
    this.envoy = envoy;
    this.name = name;
    // The strict host's imports ask a VM for its memory, its callback and its Envoy only, all of which are here.
    const functions = imports(this as unknown as Vm);
    const suspending: Record<string, Record<string, unknown>> = {};
    for (const [space, names] of Object.entries(IMPORTS)) {
      suspending[space] = {};
      for (const call of Object.keys(names)) {
        const serve = functions[call] as (...args: unknown[]) => number;
        suspending[space][call] = new WebAssembly.Suspending((...args: never[]) => this.#called(call, serve, args));
      }
    }
    const instance = new WebAssembly.Instance(module, suspending as WebAssembly.Imports);
    this.#exports = instance.exports;
    this.#memory = this.#exports.memory as { buffer: ArrayBuffer };
    (this.#exports._initialize as (() => void) | undefined)?.();
  }

  get running(): boolean {
    return this.trapped === undefined && !this.destroyed;
  }
  get busy(): boolean {
    return this.#callback !== undefined;
  }
  get callback(): Callback {
    if (this.#callback === undefined) throw new AbiViolation(`${this.name}: a host call outside of a callback`);
    return this.#callback;
  }
  get memory(): Buffer {
    return Buffer.from(this.#memory.buffer);
  }

  newRoot(configuration: Uint8Array): Root {
    const root: Root = {
      vm: this as unknown as Vm,
      id: this.#nextContext++,
      configuration,
      plugin: PLUGIN,
      tickPeriodMs: 0,
      nextTickNs: 0n,
      alive: true,
      streams: new Set(),
    };
    this.roots.push(root);
    return root;
  }

  /** Begins a callback; it runs until its first host call. */
  call(name: string, callback: Callback, ...args: number[]): undefined {
    if (!this.running) return;
    if (this.busy) throw new Error(`${this.name}: ${name} while ${this.callbackName} runs`);
    let run = this.#promising.get(name);
    if (run === undefined) {
      run = WebAssembly.promising(this.#exports[name]);
      this.#promising.set(name, run);
    }
    this.#callback = callback;
    this.callbackName = name;
    this.callbackSince = this.envoy.step;
    this.callsInCallback = 0;
    run(...args).then(
      (result) => this.#end(result),
      (error) => {
        if (error instanceof WebAssembly.RuntimeError || error instanceof VmKilled) this.trapped = error;
        else this.envoy.fatal ??= error;
        this.#end(undefined);
      },
    );
  }

  /** Runs `start`, which begins or resumes a callback, and returns at its next host call or its end. */
  async until(start: () => void): Promise<void> {
    const settled = new Promise<void>((resolve) => {
      this.#notify = resolve;
    });
    start();
    if (this.busy) await settled;
  }

  /** Lets the suspended call happen and goes on after it. */
  resume(status?: number): Promise<void> {
    const { run, resolve, reject } = this.parked!;
    this.parked = undefined;
    return this.until(() => {
      try {
        resolve(status ?? run());
      } catch (error) {
        reject(error);
      }
    });
  }

  /** The VM traps inside the call at which it is suspended. */
  kill(): Promise<void> {
    const { reject } = this.parked!;
    this.parked = undefined;
    return this.until(() => reject(new VmKilled("killed by the test")));
  }

  /** A request that no other VM gets in between of: what this VM would do at this moment. The value written, if any. */
  async ask(route: string): Promise<string | undefined> {
    const root = this.roots.findLast((candidate) => candidate.alive);
    if (root === undefined || this.busy) throw new Error(`${this.name} cannot be asked`);
    const request = { headers: new Map<string, string>(), routeName: route, writes: 0 };
    this.#direct = true;
    await this.until(() =>
      this.call("proxy_on_request_headers", { root, request }, this.#nextContext++, request.headers.size, 1),
    );
    this.#direct = false;
    return request.headers.get("x-ballast-target");
  }

  read(pointer: number, length: number): Uint8Array {
    return this.#view(pointer, length).slice();
  }
  text(pointer: number, length: number): string {
    return Buffer.from(this.#view(pointer, length)).toString("latin1");
  }
  writeU32(pointer: number, value: number): void {
    new DataView(this.#memory.buffer).setUint32(pointer >>> 0, value, true);
  }
  writeU64(pointer: number, value: bigint): void {
    new DataView(this.#memory.buffer).setBigUint64(pointer >>> 0, value, true);
  }
  write(pointer: number, bytes: Uint8Array): void {
    this.#view(pointer, bytes.length).set(bytes);
  }
  giveValue(value: Uint8Array, pointerOut: number, lengthOut: number): number {
    let pointer = 0;
    if (value.length > 0) {
      this.#inMalloc = true;
      pointer = (this.#exports.malloc as (size: number) => number)(value.length) >>> 0;
      this.#inMalloc = false;
      if (pointer === 0) return Status.InvalidMemoryAccess;
      this.write(pointer, value);
      this.afterHandedOver = Math.max(this.afterHandedOver, pointer + value.length);
    }
    this.writeU32(pointerOut, pointer);
    this.writeU32(lengthOut, value.length);
    return Status.Ok;
  }

  #called(name: string, serve: (...args: unknown[]) => number, args: unknown[]): number | Promise<number> {
    if (this.#inMalloc && !ALLOWED_IN_MALLOC.has(name)) throw new AbiViolation(`${name} during malloc`);
    this.callsInCallback++;
    if (this.#direct) return serve(...args);
    return new Promise<number>((resolve, reject) => {
      this.parked = { name, run: () => serve(...args), resolve, reject };
      this.#notify();
    });
  }

  #end(result: unknown): void {
    this.result = result;
    this.#callback = undefined;
    this.callbackName = undefined;
    this.#notify();
  }

  #view(pointer: number, length: number): Uint8Array {
    const from = pointer >>> 0;
    const size = length >>> 0;
    if (from + size > this.#memory.buffer.byteLength) {
      throw new AbiViolation(`${this.name}: ${size} bytes at ${from} lie outside of memory`);
    }
    return new Uint8Array(this.#memory.buffer, from, size);
  }
}
