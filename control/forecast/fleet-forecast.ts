import type { DemandForecast } from "./forecast.ts";
import type { FleetAnswer } from "./model/fleet-answer.ts";

export interface FleetForecastParts {
  answer: FleetAnswer;
  issuedAtMs: number;
  stepMs: number;
  levels: readonly number[];
  /** Per place of the answer's index, requests per second; NaN = not known. */
  lastRps: Float64Array;
  /** Of each service that the model did not answer for, what the rest of the chain says. */
  others: ReadonlyMap<string, DemandForecast>;
}

/**
 * Forecasts of one origin in columns: a read-only map that makes the forecast of a service whenever it is looked up, and holds none of those
 * that the model answered. Two looks at one service give equal forecasts, not the same object.
 */
export class FleetForecast implements ReadonlyMap<string, DemandForecast> {
  readonly #parts: FleetForecastParts;

  constructor(parts: FleetForecastParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#parts.answer.index.names.length;
  }

  has(service: string): boolean {
    return this.#parts.answer.index.placeOf(service) !== undefined;
  }

  get(service: string): DemandForecast | undefined {
    const place = this.#parts.answer.index.placeOf(service);
    return place === undefined ? undefined : this.#at(service, place);
  }

  *entries(): Generator<[string, DemandForecast], undefined> {
    const { names } = this.#parts.answer.index;
    for (let place = 0; place < names.length; place++) yield [names[place]!, this.#at(names[place]!, place)];
  }

  keys(): ArrayIterator<string> {
    return this.#parts.answer.index.names.values();
  }

  *values(): Generator<DemandForecast, undefined> {
    const { names } = this.#parts.answer.index;
    for (let place = 0; place < names.length; place++) yield this.#at(names[place]!, place);
  }

  [Symbol.iterator](): Generator<[string, DemandForecast], undefined> {
    return this.entries();
  }

  forEach(visit: (forecast: DemandForecast, service: string, map: ReadonlyMap<string, DemandForecast>) => void): void {
    for (const [service, forecast] of this) visit(forecast, service, this);
  }

  #at(service: string, place: number): DemandForecast {
    const { answer, issuedAtMs, stepMs, levels, lastRps, others } = this.#parts;
    const other = others.get(service);
    if (other !== undefined) return other;
    const last = lastRps[place]!;
    return {
      service,
      source: "model",
      fallbackReasons: [],
      issuedAtMs,
      stepMs,
      levels,
      values: answer.quantilesAt(place),
      lastRps: Number.isNaN(last) ? null : last,
    };
  }
}
