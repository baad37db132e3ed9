/** Small fast generator (sfc32), seeded: a failing run is repeated by its seed. */
export class Seeded {
  #a: number;
  #b = 0x9e3779b9;
  #c = 0x243f6a88;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed >>> 0;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const next = (this.#a + this.#b + this.#counter++) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + next) >>> 0;
    return next;
  }

  /** An integer from 0 to `below` − 1. */
  below(below: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * below);
  }
  /** An integer from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }
  chance(probability: number): boolean {
    return this.u32() < probability * 0x1_0000_0000;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
  /** As the strict host's generator. */
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.u32() & 255);
  }
}
