import { BallastError } from "../common/errors.ts";
import { stopChildren } from "./lib/child.ts";

/** A benchmark prints its tables and returns what goes behind `RESULT`; it writes its own section of RESULTS.md. */
export interface Benchmark {
  run(options: BenchOptions): Promise<object>;
}

export interface BenchOptions {
  /** Under 50 s on two cores; the figures are coarser and RESULTS.md is left alone. */
  quick: boolean;
  /** Words after the name, for example names of rows. */
  words: readonly string[];
  /** All that stands behind the name, for benchmarks with options of their own. */
  args: readonly string[];
}

const BENCHMARKS: Record<string, () => Promise<Benchmark>> = {
  ablation: () => import("./ablation/ablation.ts"),
  capacity: () => import("./capacity/capacity.ts"),
  forecast: () => import("./forecast/forecast.ts"),
  "hot-path": () => import("./hot-path/hot-path.ts"),
  inference: () => import("./inference/inference.ts"),
  propagation: () => import("./propagation/propagation.ts"),
  risk: () => import("./risk/risk.ts"),
  split: () => import("./split/split.ts"),
  store: () => import("./store/store.ts"),
};

const [name, ...rest] = process.argv.slice(2);
const load = name === undefined ? undefined : BENCHMARKS[name];
if (load === undefined) {
  console.error(`usage: npm run -s bench -- NAME [--quick]\nbenchmarks: ${Object.keys(BENCHMARKS).join(", ")}`);
  process.exit(2);
}
try {
  const benchmark = await load();
  const result = await benchmark.run({
    quick: rest.includes("--quick"),
    words: rest.filter((word) => !word.startsWith("--")),
    args: rest,
  });
  console.log(`RESULT ${JSON.stringify({ bench: name, ...result })}`);
} catch (cause) {
  const error = BallastError.from(cause, "INTERNAL");
  console.error(`${error.message}\n${error.hint}`);
  if (error.code === "INTERNAL" && cause instanceof Error) console.error(cause.stack);
  process.exitCode = 1;
} finally {
  await stopChildren();
}
