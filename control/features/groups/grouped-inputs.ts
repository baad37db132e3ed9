import { hash } from "node:crypto";
import type { Past } from "../series/past.ts";
import { type InputRows, inputRows, type OriginInputs, SeriesFeatureBuilder } from "../series/series-features.ts";
import { CONTEXT_CHANNELS, SERIES_FEATURES, type SeriesShape, seriesSchemaHash } from "../series/shape.ts";
import { behaviour } from "./behaviour.ts";
import { calendar } from "./calendar.ts";
import { changeState } from "./change-state.ts";
import { coupling } from "./coupling.ts";
import type { FeatureGroup, GroupColumn } from "./group.ts";
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
  return hash("sha256", JSON.stringify([base, groups])).slice(0, 16);
}

/** The one builder with groups: what the series builder says, then the groups' columns, for trees and network alike. */
export class GroupedInputs {
  readonly columns: readonly GroupColumn[];
  readonly #builder: SeriesFeatureBuilder;
  readonly #fitted: readonly FittedGroup[];
  readonly #groups: readonly FeatureGroup[];
  /** Columns of each group. */
  readonly #widths: readonly number[];

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
    this.#widths = this.#groups.map((group, i) => group.columns(fitted[i]!.parameters).length);
  }

  /** @param startMs start of the step `past.values[0]` */
  prepare(past: Past, startMs: number, service: string, world: World): PreparedInputs {
    const { shape } = this.#builder;
    const { season, horizon } = shape;
    const { stepMs } = world;
    const writers = this.#groups.map((group, i) => group.prepare(this.#fitted[i]!.parameters, world, service));
    const fill = (origin: number, rows: InputRows): number => {
      const scale = this.#builder.fill(past, origin, rows);
      if (writers.length === 0) return scale;
      const about = { originMs: startMs + origin * stepMs, past, origin, season, horizon, stepMs, scale };
      let column = SERIES_FEATURES.length;
      for (let g = 0; g < writers.length; g++) {
        const write = writers[g]!(about);
        for (let h = 0; h < horizon; h++) write(h, rows.features, rows.featuresAt + h * rows.featuresWidth + column);
        column += this.#widths[g]!;
      }
      intoContext(rows, horizon, this.columns.length);
      return scale;
    };
    return {
      fill,
      at: (origin) => {
        const rows = inputRows(shape, this.columns.length);
        const scale = fill(origin, rows);
        const { features, sequence, context, anchor, seasonalNaive } = rows;
        return { features, sequence, context, anchor, scale, seasonalNaive };
      },
    };
  }
}

/** The inputs of one past. */
export interface PreparedInputs {
  at(origin: number): OriginInputs;
  /** The same, written where the caller wants it, in rows as wide as the groups make them. @returns the scale */
  fill(origin: number, rows: InputRows): number;
}

/** The network is told the groups' columns as the trees are, clipped. */
function intoContext(rows: InputRows, horizon: number, columns: number): void {
  const { features, context } = rows;
  for (let h = 0; h < horizon; h++) {
    const from = rows.featuresAt + h * rows.featuresWidth + SERIES_FEATURES.length;
    const to = rows.contextAt + h * rows.contextWidth + CONTEXT_CHANNELS.length;
    for (let i = 0; i < columns; i++) {
      const value = features[from + i]!;
      if (!Number.isFinite(value)) throw new Error(`column ${i} of the groups is not finite`);
      context[to + i] = Math.max(-MAX_CONTEXT, Math.min(MAX_CONTEXT, value));
    }
  }
}
