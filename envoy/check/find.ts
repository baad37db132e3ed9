export type Json = Record<string, unknown>;

/** Deeper than any configuration; a cycle (YAML anchors can make one) ends here. */
const MAX_DEPTH = 64;

/** Calls `visit` for every object in a parsed configuration, outermost first. */
export function walk(value: unknown, visit: (node: Json) => void, depth = 0): void {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return;
  if (!Array.isArray(value)) visit(value as Json);
  for (const inner of Object.values(value)) walk(inner, visit, depth + 1);
}

/** Every typed object whose @type ends so. */
export function findAll(value: unknown, typeEnd: string): Json[] {
  const found: Json[] = [];
  walk(value, (node) => {
    if (typeof node["@type"] === "string" && node["@type"].endsWith(typeEnd)) found.push(node);
  });
  return found;
}

/** A Wasm plugin with a configuration of Ballast's. */
export interface Plugin {
  vmId: string;
  failurePolicy: string | undefined;
  settings: Json;
}

/** Undefined when the plugin is somebody else's. */
export function readPlugin(wasm: Json): Plugin | undefined {
  const config = wasm.config as Json | undefined;
  const text = (config?.configuration as Json | undefined)?.value;
  if (typeof text !== "string" || config === undefined) return undefined;
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof settings !== "object" || settings === null || !("control_cluster" in settings)) return undefined;
  const vm = (config.vm_config ?? {}) as Json;
  const policy = config.failure_policy;
  return {
    vmId: String(vm.vm_id ?? ""),
    failurePolicy: typeof policy === "string" ? policy : undefined,
    settings: settings as Json,
  };
}
