import type { Estate } from "../../control/estate/estate.ts";
import type { LoadHistory } from "../../control/features/load-history.ts";
import type { TrainingSeries } from "../../control/features/series/training-examples.ts";

const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/**
 * The services of a history as series to learn from, sliced for the gate by weekday (UTC) and, where an estate is known, by whether a
 * change, incident, freeze or maintenance of one of the service's targets holds at the step. A service that the estate lacks has "unknown".
 */
export function demandSeries(history: LoadHistory, estate: Estate | null): TrainingSeries[] {
  return history.services.map((name) => {
    const { startMs, values } = history.upTo(name, Number.MAX_SAFE_INTEGER);
    const service = estate?.services.get(name);
    const windows = service?.targets.flatMap((target) => target.windows);
    return {
      name,
      values: Float64Array.from(values),
      slices: (step) => {
        const at = startMs + step * history.stepMs;
        const slices: Record<string, string> = { weekday: WEEKDAYS[new Date(at).getUTCDay()]! };
        if (estate !== null)
          slices.change =
            windows === undefined ? "unknown" : windows.some((w) => w.startMs <= at && at < w.endMs) ? "yes" : "no";
        return slices;
      },
    };
  });
}
