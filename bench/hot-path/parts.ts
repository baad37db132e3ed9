import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { fetchEnvoy } from "../../scripts/fetch-envoy.ts";
import { type BenchControl, type Shares, startBenchControl } from "../lib/control-server.ts";
import { filterModule } from "../lib/filter-module.ts";
import { buildLoadGenerator } from "../lib/load-generator.ts";
import { type Built, buildNative, ROOT } from "../lib/native-build.ts";
import type { BenchOptions } from "../main.ts";
import { type Mode, TARGETS } from "./listener.ts";
import type { RigParts } from "./rig.ts";
import { allRows, OTHER_SPLITS, SERVICES } from "./rows.ts";

export const MODES: readonly Mode[] = ["direct", "forward"];
/** Kept whatever rows are asked for: the baselines of the ratios. */
const ALWAYS = ["none", "native"];

export interface Prepared {
  parts: RigParts;
  /** Row or part → why it is left out. */
  skipped: Record<string, string>;
  /** With the split already pushed; undefined without Ballast rows. */
  control: BenchControl | undefined;
}

/** Builds or finds every part. A row whose part cannot be had on this machine is left out with the reason. */
export async function prepare(options: BenchOptions): Promise<Prepared> {
  const peers = join(ROOT, "bench/hot-path/peers");
  const script = (name: string, output: string): Promise<Built> =>
    buildNative({ sources: join(peers, name), command: (folder) => ["sh", "build.sh", folder], output });
  const envoyBinary = await fetchEnvoy({ onProgress: progress });
  const [load, extProc, dynamicModule, goSdk, filter] = await Promise.all([
    buildLoadGenerator(),
    script("ext-proc", "steer-ext-proc"),
    script("dynamic-module", "libsteer.so"),
    options.quick ? { missing: "only in full runs" } : script("go-sdk", "steer.wasm"),
    filterModule(),
  ]);
  if ("missing" in load) throw new BallastError("USAGE", `the load generator needs a C compiler: ${load.missing}`);
  const skipped: Record<string, string> = {};
  if ("missing" in extProc) skipped.ext_proc = `needs Go: ${extProc.missing}`;
  if ("missing" in dynamicModule) skipped.dynamic_module = `needs a C compiler: ${dynamicModule.missing}`;
  if ("missing" in goSdk) skipped.go_sdk = `needs Go and Python: ${goSdk.missing}`;
  if ("missing" in filter) skipped.ballast = filter.missing;
  const wanted = (name: string): boolean =>
    options.words.length === 0 || ALWAYS.includes(name) || options.words.includes(name);
  const rows = allRows({ ballast: pathOf(filter), goSdk: pathOf(goSdk) }).filter(
    (row) =>
      (!options.quick || row.quick || options.words.includes(row.name)) &&
      (row.needs === undefined || skipped[row.needs] === undefined) &&
      wanted(row.name),
  );
  let control: BenchControl | undefined;
  if (rows.some((row) => row.needs === "ballast")) {
    control = await startBenchControl();
    const [first, second] = TARGETS;
    const shares = (slots: number): Shares => ({ now: { [first.cluster]: slots, [second.cluster]: 1024 - slots } });
    await control.push(
      Object.fromEntries(SERVICES.map((service) => [service, shares(OTHER_SPLITS[service] ?? first.slots)])),
    );
  }
  return {
    skipped,
    control,
    parts: {
      envoyBinary,
      loadBinary: load.path,
      rows,
      modes: MODES,
      ...("path" in extProc ? { extProcBinary: extProc.path } : {}),
      ...("path" in dynamicModule ? { dynamicModulePath: dynamicModule.path } : {}),
      ...(control === undefined ? {} : { controlPort: control.port }),
    },
  };
}

function pathOf(built: Built): string | undefined {
  return "path" in built ? built.path : undefined;
}

export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}
