import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { DemoService } from "../envoy/demo.ts";
import { FIRST_BACKEND_PORT } from "./layout.ts";

// biome-ignore lint/suspicious/noExplicitAny: the demo's ballast.yaml, changed here and there as a user would do it in an editor.
type Yaml = any;

/** The demo's configuration without its calendar, history and model: the rig lives now, and its weights are moved by hand. */
export async function rigConfig(): Promise<Yaml> {
  const yaml: Yaml = parse(await readFile(join(import.meta.dirname, "..", "demo", "ballast.yaml"), "utf8"));
  for (const section of ["clock", "history", "model"]) delete yaml[section];
  return yaml;
}

/** The demo's services; one port per target, in order. */
export function rigServices(yaml: Yaml): DemoService[] {
  let port = FIRST_BACKEND_PORT;
  return Object.entries<{ targets: Record<string, { base: string }> }>(yaml.services).map(([name, { targets }]) => ({
    name,
    targets: Object.entries(targets).map(([target, { base }]) => ({
      name: target,
      basePpm: Number.parseFloat(base) * 10_000,
      port: port++,
    })),
  }));
}
