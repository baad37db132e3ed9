import { Past } from "../series/past.ts";
import type { OriginInputs } from "../series/series-features.ts";
import type { SeriesShape } from "../series/shape.ts";
import { type InputSource, splitSpans, type TrainingSeries } from "../series/training-examples.ts";
import type { FeatureGroup } from "./group.ts";
import { type FittedGroup, fitGroups, GroupedInputs, groupedSchemaHash } from "./grouped-inputs.ts";
import { hideAfter, type World, worldDigest } from "./world.ts";

/** A fit that looked ahead does so always: a few refits per series show it, and each may cost some tens of milliseconds. */
const MAX_REFITS = 12;

export interface GroupedSource extends InputSource {
  readonly fitted: readonly FittedGroup[];
}

/**
 * Training inputs with groups. They are fitted once, on what was known at `fitToMs`: the earliest end of the training spans, so that
 * no series' held-out span is part of a fit. When a caller asks what the inputs were if the future were another (`hiddenFrom`), the
 * world's future is replaced and the groups are fitted again on that, so that a fit that looked ahead shows.
 * @param startMs by series, start of its first step
 */
export function groupedSource(
  shape: SeriesShape,
  groups: readonly FeatureGroup[],
  world: World,
  startMs: ReadonlyMap<string, number>,
  fitToMs: number,
): GroupedSource {
  const fitted = fitGroups(groups, world, fitToMs);
  const inputs = new GroupedInputs(shape, fitted, groups);
  const refits = new Map<string, number>();
  return {
    fitted,
    columns: inputs.columns.map(({ name }) => name),
    schemaHash: groupedSchemaHash(shape, fitted, groups),
    dataDigest: worldDigest(world),
    prepare: (values, _, { series, hiddenFrom }) => {
      const start = startMs.get(series);
      if (start === undefined) throw new Error(`no start of ${series}`);
      const past = new Past(values, shape.season, { firstStep: Math.floor(start / world.stepMs) });
      if (hiddenFrom === undefined) return inputs.prepare(past, start, series, world);
      const hidden = hideAfter(world, start + hiddenFrom * world.stepMs);
      const done = refits.get(series) ?? 0;
      refits.set(series, done + 1);
      const refitted = done < MAX_REFITS ? fitGroups(groups, hidden, fitToMs) : fitted;
      const fitLookedAhead = JSON.stringify(refitted) !== JSON.stringify(fitted);
      const prepared = (fitLookedAhead ? inputs : new GroupedInputs(shape, refitted, groups)).prepare(
        past,
        start,
        series,
        hidden,
      );
      if (!fitLookedAhead) return prepared;
      // Other parameters may show at few origins only, or have other columns: the difference is made plain at every one.
      return { at: (origin) => withoutGroups(prepared.at(origin), shape.horizon, inputs.columns.length) };
    },
  };
}

/**
 * The same for a training: its series begin with the loads of the world that they are named like, and groups are fitted on what was known when
 * the first training span ends.
 */
export function trainingSource(
  shape: SeriesShape,
  groups: readonly FeatureGroup[],
  world: World,
  series: readonly TrainingSeries[],
): GroupedSource {
  const starts = new Map([...(world.loads ?? [])].map(([name, { startMs }]) => [name, startMs]));
  const ends = series.flatMap(({ name, values }) => {
    const spans = splitSpans(shape, values.length);
    const startMs = starts.get(name);
    return spans === null || startMs === undefined ? [] : [startMs + spans.train[1] * world.stepMs];
  });
  return groupedSource(shape, groups, world, starts, Math.min(...ends));
}

/** The inputs with the groups' columns, the last ones of every row, as NaN. */
function withoutGroups(inputs: OriginInputs, horizon: number, columns: number): OriginInputs {
  const features = inputs.features.slice();
  const width = features.length / horizon;
  for (let h = 0; h < horizon; h++) features.fill(Number.NaN, (h + 1) * width - columns, (h + 1) * width);
  return { ...inputs, features };
}
