import { readCsv, readCsvLines } from "./csv.ts";
import { dataFolder } from "./gift-eval.ts";

/** A real series of requests, and what is asked of it. */
export interface SuiteTask {
  /** `set/series`. */
  name: string;
  /** Series of one group share a model: same step and season. */
  group: "nab" | "nezha" | "traffic";
  values: Float64Array;
  season: number;
  horizon: number;
  /** Windows without overlap at the end, counted as GIFT-Eval does: a tenth of the series, at most twenty. */
  windows: number;
  horizonMinutes: number;
}

export const HORIZON_MINUTES = [15, 60] as const;
const MAX_WINDOWS = 20;
const TEST_SHARE = 0.1;
/** Newest steps of the World Cup that are used, 30 days: the classical forecasts are fitted anew for each window. */
const WORLD_CUP_STEPS = 30 * 1440;
const NEZHA = "nezha/ob-2022-08-22";

/**
 * The tasks: requests of an AWS load balancer (NAB, five minutes, a season of a day), workload of the pods of Online Boutique (Nezha, a
 * minute, twenty hours and so no season of a day), and requests to the World Cup site (a minute, a season of a day), each 15 and 60 minutes ahead.
 */
export function loadSuite(folder = dataFolder()): SuiteTask[] {
  const elb = readCsv(`${folder}/nab/elb_request_count_8c0756.csv`, ["timestamp", "value"]);
  const worldCup = readCsv(`${folder}/traffic/worldcup98_per_min.csv`, ["minute", "count"]);
  const pods = readPods(`${folder}/${NEZHA}`);
  const requests = onGrid(
    worldCup.map((r) => [time(r.minute), Number(r.count)]),
    60_000,
  ).slice(-WORLD_CUP_STEPS);
  return HORIZON_MINUTES.flatMap((minutes) => [
    task(
      "nab/elb_request_count",
      "nab",
      onGrid(
        elb.map((r) => [time(r.timestamp), Number(r.value)]),
        300_000,
      ),
      288,
      minutes,
      5,
    ),
    ...pods.map(({ pod, values }) => task(`nezha/${pod}`, "nezha", values, 1, minutes, 1)),
    task("traffic/worldcup98", "traffic", requests, 1440, minutes, 1),
  ]);
}

function task(
  name: string,
  group: SuiteTask["group"],
  values: Float64Array,
  season: number,
  horizonMinutes: number,
  stepMinutes: number,
): SuiteTask {
  const horizon = horizonMinutes / stepMinutes;
  const windows = Math.min(MAX_WINDOWS, Math.ceil((TEST_SHARE * values.length) / horizon));
  return { name, group, values, season, horizon, windows, horizonMinutes };
}

/** `PodWorkload(Ops)` per minute. The `Time` column is read, since `TimeStamp` of one pod lies two years ahead. */
function readPods(folder: string): { pod: string; values: Float64Array }[] {
  const names = PODS.map((pod) => ({ pod, file: `${folder}/${pod}_metric.csv` }));
  return names.map(({ pod, file }) => {
    const [header = [], ...rows] = readCsvLines(file);
    const [at, load] = [header.indexOf("Time"), header.indexOf("PodWorkload(Ops)")];
    const points = rows.map((row): [number, number] => [time(row[at]!.slice(0, 19)), Number(row[load])]);
    return { pod: pod.replace(/-.*/, ""), values: onGrid(points, 60_000) };
  });
}

const PODS = [
  "adservice-5f6585d649-fnmft",
  "cartservice-579f59597d-wc2lz",
  "checkoutservice-578fcf4766-9csqn",
  "currencyservice-cf787dd48-vpjrd",
  "emailservice-55fdc5b988-f6xth",
  "frontend-579b9bff58-t2dbm",
  "paymentservice-9cdb6588f-554sm",
  "productcatalogservice-668d5f85fb-wckp8",
  "recommendationservice-6cfdd55578-gfj6q",
  "shippingservice-7b598fc7d-lmggd",
] as const;

const time = (text: string): number => Date.parse(`${text.replace(" ", "T")}Z`);

/** Values by their step since the first; steps without a row are NaN, and of two rows in one step the later counts. */
function onGrid(points: readonly (readonly [number, number])[], stepMs: number): Float64Array {
  const first = points[0]![0];
  const place = (at: number) => Math.round((at - first) / stepMs);
  const values = new Float64Array(place(points.at(-1)![0]) + 1).fill(Number.NaN);
  for (const [at, value] of points) values[place(at)] = value;
  return values;
}
