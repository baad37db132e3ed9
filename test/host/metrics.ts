import { MetricType, Status } from "./abi.ts";

/** Metrics of one Envoy process: one value per name, whichever VM writes; ids are handed out anew at every definition. */
export class Metrics {
  readonly #byId: { type: number; name: string }[] = [];
  readonly #values = new Map<string, bigint>();

  define(type: number, name: string): number {
    this.#byId.push({ type, name });
    if (!this.#values.has(name)) this.#values.set(name, 0n);
    return this.#byId.length;
  }

  increment(id: number, delta: bigint): number {
    const metric = this.#byId[id - 1];
    if (metric === undefined) return Status.NotFound;
    if (metric.type !== MetricType.Counter || delta <= 0n) return Status.BadArgument;
    this.#values.set(metric.name, this.#values.get(metric.name)! + delta);
    return Status.Ok;
  }

  record(id: number, value: bigint): number {
    const metric = this.#byId[id - 1];
    if (metric === undefined) return Status.NotFound;
    if (metric.type !== MetricType.Gauge) return Status.BadArgument;
    this.#values.set(metric.name, BigInt.asUintN(64, value));
    return Status.Ok;
  }

  names(): string[] {
    return [...this.#values.keys()];
  }

  /** Undefined for a metric that nobody defined. */
  value(name: string): number | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : Number(value);
  }
}
