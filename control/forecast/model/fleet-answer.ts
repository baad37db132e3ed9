import { Quantiles } from "../quantiles.ts";
import type { FallbackReason } from "../reasons.ts";

/** Where each service of a fleet stands in the columns of an answer. */
export class ServiceIndex {
  /** Each once, in the order in which they were asked for. */
  readonly names: readonly string[];
  readonly #places = new Map<string, number>();

  private constructor(names: readonly string[]) {
    for (const name of names) if (!this.#places.has(name)) this.#places.set(name, this.#places.size);
    this.names = [...this.#places.keys()];
  }

  /** @param before taken again where it has the same names: a fleet is asked for at every step, and rarely changes */
  static of(names: readonly string[], before: ServiceIndex | null): ServiceIndex {
    const same = before !== null && before.names.length === names.length;
    return same && before.names.every((name, i) => name === names[i]) ? before : new ServiceIndex(names);
  }

  /** Undefined for a service that was not asked for. */
  placeOf(service: string): number | undefined {
    return this.#places.get(service);
  }
}

/**
 * What a model said of many services at one origin. Quantiles stay in the memory that their batch came in, and nothing is made per service
 * until somebody looks at it: objects for each of ten thousand services would live until the next answer, and it is objects that live which
 * the collector stops the event loop for.
 */
export class FleetAnswer {
  readonly index: ServiceIndex;
  readonly #levels: number;
  readonly #steps: number;
  /** Per place the memory that has its values, and where there they begin, [level][step]; undefined: not answered. */
  readonly #blocks: (Float64Array | undefined)[];
  readonly #froms: Int32Array;
  readonly #reasons = new Map<number, FallbackReason>();

  constructor(index: ServiceIndex, levels: number, steps: number) {
    this.index = index;
    this.#levels = levels;
    this.#steps = steps;
    this.#blocks = new Array(index.names.length);
    this.#froms = new Int32Array(index.names.length);
  }

  /** @param block has the values of the service from index `from` on; nobody writes to it again */
  take(place: number, block: Float64Array, from: number): void {
    this.#blocks[place] = block;
    this.#froms[place] = from;
  }

  refuse(place: number, reason: FallbackReason): void {
    this.#reasons.set(place, reason);
  }

  refuseAll(reason: FallbackReason): this {
    for (let place = 0; place < this.#blocks.length; place++) this.#reasons.set(place, reason);
    return this;
  }

  /** Why the model said nothing of a service; null where it answered. */
  reasonAt(place: number): FallbackReason | null {
    if (this.#blocks[place] !== undefined) return null;
    const reason = this.#reasons.get(place);
    if (reason === undefined) throw new Error(`no answer for ${this.index.names[place]}`);
    return reason;
  }

  /** Of a place without a reason. */
  quantilesAt(place: number): Quantiles {
    return new Quantiles(this.#blocks[place]!, this.#froms[place]!, this.#levels, this.#steps);
  }

  /** Undefined for a service that was not asked for. */
  get(service: string): Quantiles | FallbackReason | undefined {
    const place = this.index.placeOf(service);
    return place === undefined ? undefined : (this.reasonAt(place) ?? this.quantilesAt(place));
  }
}
