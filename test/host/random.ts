/** SplitMix64: seeded, so that a failing run can be repeated. */
export class SeededRandom {
  #state: bigint;

  constructor(seed: bigint | number) {
    this.#state = BigInt.asUintN(64, BigInt(seed));
  }

  u64(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e3779b97f4a7c15n);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  }

  /** An integer from 0 to `below` − 1. */
  below(below: number): number {
    return Number(this.u64() % BigInt(below));
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Number(this.u64() & 255n));
  }
}
