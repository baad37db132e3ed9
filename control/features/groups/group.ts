import type { Past } from "../series/past.ts";
import type { World } from "./world.ts";

/**
 * advance: the value at a horizon step is known at the origin (a calendar, a planned change). late: what was last known at the
 * origin, the same for the whole horizon (a neighbour's load, an open incident).
 */
export type KnownWhen = "advance" | "late";

export interface GroupColumn {
  /** Lower case, unique over all groups: it starts with the group's own word. */
  name: string;
  unit: string;
  known: KnownWhen;
}

export interface GroupOrigin {
  /** Start of the first step that is forecast. */
  originMs: number;
  /** The series itself; only steps before `origin` may be read. */
  past: Past;
  origin: number;
  season: number;
  horizon: number;
  stepMs: number;
  /** Unit of the model, see OriginInputs. */
  scale: number;
}

/** Writes the columns of one horizon step `h` (0 …) into `row` from `at`. Finite values only. */
export type RowWriter = (h: number, row: Float32Array, at: number) => void;

/**
 * An optional group of inputs beside the series' own past. Training and serving both call it, through GroupedInputs; it reads of the
 * world what was known at the origin. `P` is JSON: the manifest carries it, so that serving uses what training fitted.
 */
export interface FeatureGroup<P = unknown> {
  readonly name: string;
  /** Raised when a computation changes without a column's name changing. */
  readonly version: number;
  /** Fits what needs fitting on what was known at `fitToMs`; {} where nothing does. */
  fit(world: World, fitToMs: number): P;
  columns(parameters: P): readonly GroupColumn[];
  /** Parts of the world without which a model with these parameters must not be asked; none where series and clock are enough. */
  needs(parameters: P): readonly (keyof World)[];
  /** Called once per service: what can be prepared for all origins. */
  prepare(parameters: P, world: World, service: string): (origin: GroupOrigin) => RowWriter;
}
