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

const NOT_ANSWERED = -1;

/**
 * What a model said of many services at one origin. All quantiles lie in one block that the workers write to, and nothing is made per service
 * until somebody looks at it: objects for each of ten thousand services would live until the next answer, and it is objects that live which
 * the collector stops the event loop for. The block is shared memory because of that too: a collector counts other memory that comes and
 * goes as a heap that grows, and walked all of it after every second answer.
 */
export class FleetAnswer {
  readonly index: ServiceIndex;
  readonly #levels: number;
  readonly #steps: number;
  /** Room after room in the order in which they were asked for, in each [service][level][step]. */
  readonly #block: Float64Array;
  #roomsEnd = 0;
  /** Per place where in the block its values begin; NOT_ANSWERED. */
  readonly #froms: Int32Array;
  readonly #reasons = new Map<number, FallbackReason>();

  constructor(index: ServiceIndex, levels: number, steps: number) {
    this.index = index;
    this.#levels = levels;
    this.#steps = steps;
    const values = index.names.length * levels * steps;
    this.#block = new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT * values));
    this.#froms = new Int32Array(index.names.length).fill(NOT_ANSWERED);
  }

  /** Memory for the values of so many services more, all NaN, which the guard refuses where nobody writes. Each service has one room. */
  room(services: number): Float64Array {
    const from = this.#roomsEnd;
    this.#roomsEnd += services * this.#levels * this.#steps;
    if (this.#roomsEnd > this.#block.length) throw new Error("more services are asked for than were counted");
    return this.#block.subarray(from, this.#roomsEnd).fill(Number.NaN);
  }

  /** The `nth` values of a room are the answer for a service; nobody writes to them again. */
  take(place: number, room: Float64Array, nth: number): void {
    const from = room.byteOffset / Float64Array.BYTES_PER_ELEMENT + nth * this.#levels * this.#steps;
    if (room.buffer !== this.#block.buffer) throw new Error("the room is of another answer");
    this.#froms[place] = from;
  }

  refuse(place: number, reason: FallbackReason): void {
    this.#reasons.set(place, reason);
  }

  refuseAll(reason: FallbackReason): this {
    for (let place = 0; place < this.#froms.length; place++) this.#reasons.set(place, reason);
    return this;
  }

  /** Why the model said nothing of a service; null where it answered. */
  reasonAt(place: number): FallbackReason | null {
    if (this.#froms[place] !== NOT_ANSWERED) return null;
    const reason = this.#reasons.get(place);
    if (reason === undefined) throw new Error(`no answer for ${this.index.names[place]}`);
    return reason;
  }

  /** Of a place without a reason. */
  quantilesAt(place: number): Quantiles {
    return new Quantiles(this.#block, this.#froms[place]!, this.#levels, this.#steps);
  }

  /** Undefined for a service that was not asked for. */
  get(service: string): Quantiles | FallbackReason | undefined {
    const place = this.index.placeOf(service);
    return place === undefined ? undefined : (this.reasonAt(place) ?? this.quantilesAt(place));
  }
}
