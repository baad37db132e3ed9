/**
 * Who may end a worker thread, and when. A thread that is terminated inside a native call of onnxruntime-node takes the whole process with it
 * (`Napi::Error`, uncaught), so its owner leaves one that is in such a call to end itself when the call returns. Shared by both threads.
 */
export class NativeGate {
  static readonly BYTES = 4;
  readonly #state: Int32Array;

  /** @param memory of `BYTES` bytes, all nought at first */
  constructor(memory: SharedArrayBuffer) {
    this.#state = new Int32Array(memory);
  }

  /** The worker's: runs a native call. Throws Ended where the owner has given the worker up, before the call or during it. */
  async pass<T>(call: () => Promise<T>): Promise<T> {
    if (Atomics.compareExchange(this.#state, 0, STATE.outside, STATE.inside) === STATE.ended) throw new Ended();
    try {
      return await call();
    } finally {
      if (Atomics.compareExchange(this.#state, 0, STATE.inside, STATE.outside) === STATE.ended)
        // biome-ignore lint/correctness/noUnsafeFinally: what the call gave is of no use to anybody
        throw new Ended();
    }
  }

  /** The owner's: from now on the worker makes no native call. @returns whether it is in one now, and so must not be terminated */
  end(): boolean {
    return Atomics.exchange(this.#state, 0, STATE.ended) === STATE.inside;
  }
}

/** The owner has given the worker up: it ends its thread. */
export class Ended extends Error {}

const STATE = { outside: 0, inside: 1, ended: 2 } as const;
