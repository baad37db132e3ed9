// JavaScript Promise Integration: calls that leave a stack of WebAssembly and come back to it later.
declare namespace WebAssembly {
  /** An import that suspends the stack which called it, when it returns a promise, until that promise settles. */
  class Suspending {
    constructor(call: (...args: never[]) => unknown);
  }
  /** An export whose stack may be suspended; its result is a promise. */
  function promising(exported: unknown): (...args: number[]) => Promise<unknown>;
}
