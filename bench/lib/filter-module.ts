import { join } from "node:path";
import { ROOT } from "./native-build.ts";

/** Path of the released filter, built if need be, or why it cannot be built. BENCH_FILTER names another module to measure. */
export async function filterModule(): Promise<{ path: string } | { missing: string }> {
  if (process.env.BENCH_FILTER) return { path: process.env.BENCH_FILTER };
  try {
    const builder = join(ROOT, "scripts/build-filter.ts");
    const { buildFilter } = (await import(builder)) as { buildFilter: () => Promise<unknown> };
    await buildFilter();
    return { path: join(ROOT, "build/filter/ballast.wasm") };
  } catch (cause) {
    return { missing: cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause) };
  }
}
