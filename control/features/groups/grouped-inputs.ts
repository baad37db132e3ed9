import { createHash } from "node:crypto";
import type { Past } from "../series/past.ts";
import { type OriginInputs, SeriesFeatureBuilder } from "../series/series-features.ts";
import { type SeriesShape, seriesSchemaHash } from "../series/shape.ts";
import { behaviour } from "./behaviour.ts";
import { calendar } from "./calendar.ts";
import { changeState } from "./change-state.ts";
import { coupling } from "./coupling.ts";
import type { FeatureGroup, GroupColumn, RowWriter } from "./group.ts";
import { signals } from "./signals.ts";
import { velocity } from "./velocity.ts";
import type { World } from "./world.ts";

/** In this order their columns stand behind those of the series' own past. */
export const GROUPS: readonly FeatureGroup[] = [calendar, coupling, changeState, velocity, behaviour, signals];

/** A group as a manifest names it: with what training fitted. */
export interface FittedGroup {
  name: string;
  version: number;
  parameters: unknown;
}

/** Of the network's context, as the series builder clips its own. */
const MAX_CONTEXT = 8;

export function groupNamed(name: string): FeatureGroup | undefined {
  return GROUPS.find((group) => group.name === name);
}

/** Fits the groups, in the order of GROUPS, on what was known at `fitToMs`. */
export function fitGroups(groups: readonly FeatureGroup[], world: World, fitToMs: number): FittedGroup[] {
  return [...groups]
    .sort((a, b) => place(a) - place(b))
    .map((group) => ({ name: group.name, version: group.version, parameters: group.fit(world, fitToMs) }));
}

function place(group: FeatureGroup): number {
  return GROUPS.findIndex(({ name }) => name === group.name);
}

/** The groups of a manifest with the code of this build. Throws where it has another version, or none, of one. */
function bind(fitted: readonly FittedGroup[], own: readonly FeatureGroup[]): FeatureGroup[] {
  return fitted.map(({ name, version }) => {
    const group = own.find((one) => one.name === name);
    if (group?.version !== version) throw new Error(`this build has no feature group ${name} of version ${version}`);
    return group;
  });
}

export function groupColumns(fitted: readonly FittedGroup[], own: readonly FeatureGroup[] = GROUPS): GroupColumn[] {
  return bind(fitted, own).flatMap((group, i) => group.columns(fitted[i]!.parameters));
}

/** Groups that cannot be computed from a series and the clock alone, with what they need. */
export function groupNeeds(fitted: readonly FittedGroup[]): { name: string; needs: readonly (keyof World)[] }[] {
  return bind(fitted, GROUPS)
    .map((group, i) => ({ name: group.name, needs: group.needs(fitted[i]!.parameters) }))
    .filter(({ needs }) => needs.length > 0);
}

/**
 * Names the inputs of a model: without groups the hash of the series' own, so that models trained before a group existed stay valid.
 * What was fitted is part of it: a manifest whose embedding was changed no longer fits its own hash.
 */
export function groupedSchemaHash(
  shape: SeriesShape,
  fitted: readonly FittedGroup[],
  own: readonly FeatureGroup[] = GROUPS,
): string {
  const base = seriesSchemaHash(shape);
  if (fitted.length === 0) return base;
  const groups = bind(fitted, own).map((group, i) => [
    group.name,
    group.version,
    group.columns(fitted[i]!.parameters),
    fitted[i]!.parameters,
  ]);
  return createHash("sha256")
    .update(JSON.stringify([base, groups]))
    .digest("hex")
    .slice(0, 16);
}

/** The one builder with groups: what the series builder says, then the groups' columns, for trees and network alike. */
export class GroupedInputs {
  readonly columns: readonly GroupColumn[];
  readonly #builder: SeriesFeatureBuilder;
  readonly #fitted: readonly FittedGroup[];
  readonly #groups: readonly FeatureGroup[];

  /** @param onlyRecent the origins of a past only rise: see SeriesFeatureBuilder */
  constructor(
    shape: SeriesShape,
    fitted: readonly FittedGroup[],
    own: readonly FeatureGroup[] = GROUPS,
    onlyRecent = false,
  ) {
    this.#builder = new SeriesFeatureBuilder(shape, onlyRecent);
    this.#fitted = fitted;
    this.#groups = bind(fitted, own);
    this.columns = groupColumns(fitted, own);
  }

  /** @param startMs start of the step `past.values[0]` */
  prepare(past: Past, startMs: number, service: string, world: World): { at(origin: number): OriginInputs } {
    const { season, horizon } = this.#builder.shape;
    const { stepMs } = world;
    const writers = this.#groups.map((group, i) => ({
      width: group.columns(this.#fitted[i]!.parameters).length,
      at: group.prepare(this.#fitted[i]!.parameters, world, service),
    }));
    return {
      at: (origin) => {
        const inputs = this.#builder.at(past, origin);
        if (writers.length === 0) return inputs;
        const about = {
          originMs: startMs + origin * stepMs,
          past,
          origin,
          season,
          horizon,
          stepMs,
          scale: inputs.scale,
        };
        const rows = writers.map(({ width, at }) => ({ width, write: at(about) }));
        const extra = fill(rows, horizon, this.columns.length);
        return {
          ...inputs,
          features: beside(inputs.features, extra, horizon),
          context: beside(
            inputs.context,
            extra.map((value) => Math.max(-MAX_CONTEXT, Math.min(MAX_CONTEXT, value))),
            horizon,
          ),
        };
      },
    };
  }
}

function fill(rows: readonly { width: number; write: RowWriter }[], horizon: number, columns: number): Float32Array {
  const extra = new Float32Array(horizon * columns);
  for (let h = 0; h < horizon; h++) {
    let at = h * columns;
    for (const { width, write } of rows) {
      write(h, extra, at);
      at += width;
    }
  }
  const bad = extra.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new Error(`column ${bad % columns} of the groups is not finite`);
  return extra;
}

/** Of two row-major matrices of `rows` rows, one whose rows are those of both side by side. */
function beside(left: Float32Array, right: Float32Array, rows: number): Float32Array {
  const [a, b] = [left.length / rows, right.length / rows];
  const out = new Float32Array(left.length + right.length);
  // Rows are so short that a view of each would cost more than its values.
  for (let r = 0, at = 0; r < rows; r++) {
    for (let i = 0; i < a; i++) out[at++] = left[r * a + i]!;
    for (let i = 0; i < b; i++) out[at++] = right[r * b + i]!;
  }
  return out;
}
