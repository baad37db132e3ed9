/*
 * Medians down the columns of a matrix by sorting networks (Batcher's odd-even merge sort; Knuth, TAOCP 3, §5.3.4), cut down to what the
 * middle needs. A network has no branch that depends on a value, so that two columns go through it side by side in a vector register;
 * JavaScript has no such registers, so the network is written as WebAssembly when it is first wanted: an insertion sort of the same
 * members took over a quarter of the time of a service's inputs.
 */

/** Medians of the first rows of one matrix, whose memory the caller fills. */
export class Medians {
  /** [row][column], `stride` numbers a row; the caller writes here. */
  readonly rows: Float64Array;
  /** Numbers from one row to the next: the columns, rounded up to whole vectors. */
  readonly stride: number;
  readonly #most: number;
  readonly #said: Float64Array;
  readonly #memory: WebAssembly.Memory | null;
  /** By count of rows, each made when it is asked for first. */
  readonly #networks: (((otherwise: number) => void) | undefined)[] = [];

  /**
   * @param most rows at most, 1 … 64
   * @param vectors false: the plain code, which says the same to the bit
   */
  constructor(columns: number, most: number, vectors = VECTORS) {
    if (most < 1 || most > MAX_ROWS) throw new Error(`medians of ${most} rows`);
    this.stride = columns + (columns % 2);
    this.#most = most;
    const cells = (most + 1) * this.stride;
    const pages = Math.ceil((8 * cells) / PAGE_BYTES);
    this.#memory = vectors ? new WebAssembly.Memory({ initial: pages, maximum: pages }) : null;
    const all = new Float64Array(this.#memory?.buffer ?? new ArrayBuffer(8 * cells), 0, cells);
    this.rows = all.subarray(0, most * this.stride);
    this.#said = all.subarray(most * this.stride);
  }

  /**
   * Of the first `count` rows, `columns` numbers from `out[at]` on; of an even count the mean of the two in the middle. What is not finite counts
   * as `otherwise`, which is; a nought has no sign.
   */
  take(count: number, otherwise: number, out: Float64Array, at: number, columns: number): void {
    if (this.#memory === null) mediansByInsertion(this.rows, this.stride, count, otherwise, this.#said, columns);
    else {
      this.#networks[count] ??= this.#network(count, this.#memory);
      this.#networks[count](otherwise);
    }
    for (let h = 0; h < columns; h++) out[at + h] = this.#said[h]!;
  }

  #network(count: number, memory: WebAssembly.Memory): (otherwise: number) => void {
    if (count < 1 || count > this.#most) throw new Error(`${count} of ${this.#most} rows`);
    const module = new WebAssembly.Module(moduleOf(count, 8 * this.stride, 8 * this.stride * this.#most));
    return new WebAssembly.Instance(module, { m: { m: memory } }).exports.m as (otherwise: number) => void;
  }
}

const MAX_ROWS = 64;
const PAGE_BYTES = 65_536;

function mediansByInsertion(
  rows: Float64Array,
  stride: number,
  count: number,
  otherwise: number,
  out: Float64Array,
  columns: number,
): void {
  const sorted = new Float64Array(count);
  const half = count >> 1;
  for (let h = 0; h < columns; h++) {
    for (let i = 0; i < count; i++) {
      const said = rows[i * stride + h]!;
      const value = said - said === 0 ? said : otherwise;
      let at = i;
      for (; at > 0 && sorted[at - 1]! > value; at--) sorted[at] = sorted[at - 1]!;
      sorted[at] = value;
    }
    // Minus nought plus nought is nought: equal members may come in either order.
    out[h] = (count % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2) + 0;
  }
}

/** Of two places in order, which of the two values is wanted afterwards. */
interface Comparator {
  low: number;
  high: number;
  wantsLow: boolean;
  wantsHigh: boolean;
}

/** The comparators that the middle of `count` values depends on. */
function middleOf(count: number): Comparator[] {
  const pairs: [number, number][] = [];
  // Values beyond the last count as greater than all: a comparator with one of them does nothing.
  let size = 1;
  while (size < count) size *= 2;
  for (let p = 1; p < size; p *= 2)
    for (let k = p; k >= 1; k /= 2)
      for (let j = k % p; j + k < size; j += 2 * k)
        for (let i = 0; i < Math.min(k, size - j - k); i++)
          if (Math.floor((i + j) / (2 * p)) === Math.floor((i + j + k) / (2 * p)) && i + j + k < count)
            pairs.push([i + j, i + j + k]);
  const half = count >> 1;
  const wanted = new Set(count % 2 === 1 ? [half] : [half - 1, half]);
  const needed: Comparator[] = [];
  for (const [low, high] of pairs.reverse()) {
    const one = { low, high, wantsLow: wanted.has(low), wantsHigh: wanted.has(high) };
    if (!one.wantsLow && !one.wantsHigh) continue;
    wanted.add(low).add(high);
    needed.push(one);
  }
  return needed.reverse();
}

// WebAssembly core specification, §5 (binary format) and §5.4.8 (vector instructions).
const I32 = 0x7f;
const F64 = 0x7c;
const V128 = 0x7b;
const vector = (code: number): number[] => [0xfd, ...leb(code)];
const OP = {
  load: [...vector(0x00), 3],
  store: [...vector(0x0b), 3],
  splat: vector(0x14),
  zero: [...vector(0x0c), ...new Array<number>(16).fill(0)],
  equal: vector(0x47),
  select: vector(0x52),
  add: vector(0xf0),
  subtract: vector(0xf1),
  multiply: vector(0xf2),
  least: vector(0xf6),
  greatest: vector(0xf7),
};

/** A function over all columns: rows from address 0 on, the medians from `outBytes` on. */
function moduleOf(size: number, rowBytes: number, outBytes: number): Uint8Array<ArrayBuffer> {
  const code = functionOf(size, rowBytes, outBytes);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [0x60, 1, F64, 0]),
    ...section(2, [...text("m"), ...text("m"), 2, 0, 1]),
    ...section(3, [0]),
    ...section(7, [...text("m"), 0, 0]),
    ...section(10, [...leb(code.length), ...code]),
  ]);
}

/** Locals: 0 the stand-in, 1 the address of the columns, 2 the stand-in twice, 3 what is exchanged, 4 … the values. */
function functionOf(size: number, rowBytes: number, outBytes: number): number[] {
  const [address, stand, spare, first] = [1, 2, 3, 4];
  const get = (local: number): number[] => [0x20, ...leb(local)];
  const set = (local: number): number[] => [0x21, ...leb(local)];
  const code: number[] = [2, 1, I32, ...leb(2 + size), V128];
  code.push(...get(0), ...OP.splat, ...set(stand), 0x03, 0x40);
  for (let i = 0; i < size; i++) {
    const value = first + i;
    code.push(...get(address), ...OP.load, ...leb(i * rowBytes), ...set(value));
    code.push(...get(value), ...get(stand), ...get(value), ...get(value), ...OP.subtract);
    code.push(...OP.zero, ...OP.equal, ...OP.select, ...set(value));
  }
  for (const { low, high, wantsLow, wantsHigh } of middleOf(size)) {
    const both = [...get(first + low), ...get(first + high)];
    if (wantsLow) code.push(...both, ...OP.least, ...set(wantsHigh ? spare : first + low));
    if (wantsHigh) code.push(...both, ...OP.greatest, ...set(first + high));
    if (wantsLow && wantsHigh) code.push(...get(spare), ...set(first + low));
  }
  const half = first + (size >> 1);
  code.push(...get(address), ...get(half));
  if (size % 2 === 0)
    code.push(...get(half - 1), ...OP.add, 0x44, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, ...OP.splat, ...OP.multiply);
  code.push(...OP.zero, ...OP.add, ...OP.store, ...leb(outBytes));
  code.push(
    ...get(address),
    0x41,
    16,
    0x6a,
    0x22,
    ...leb(address),
    0x41,
    ...signed(rowBytes),
    0x49,
    0x0d,
    0,
    0x0b,
    0x0b,
  );
  return code;
}

/** With one item. */
function section(id: number, item: readonly number[]): number[] {
  return [id, ...leb(1 + item.length), 1, ...item];
}

function text(name: string): number[] {
  const bytes = new TextEncoder().encode(name);
  return [...leb(bytes.length), ...bytes];
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...leb(Math.floor(value / 128))];
}

/** A non-negative number as a signed one. */
function signed(value: number): number[] {
  return value < 64 ? [value] : [(value % 128) + 128, ...signed(Math.floor(value / 128))];
}

/** Processors without vectors of two doubles, and Node started with --jitless, have the plain code. */
const VECTORS = ((): boolean => {
  try {
    return typeof WebAssembly === "object" && WebAssembly.validate(moduleOf(2, 16, 32));
  } catch {
    return false;
  }
})();
