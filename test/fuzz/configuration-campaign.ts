import { start } from "../host/fixtures.ts";
import { Seeded } from "../race/seeded.ts";
import { mutate } from "./mutate.ts";

const FIELDS = new Set([
  "control_cluster",
  "fleet",
  "node",
  "service_from",
  "session_from",
  "steer_header",
  "debug_header",
  "values",
  "max_services",
  "max_set_bytes",
]);
const GOOD = [
  { control_cluster: "ballast_control" },
  { control_cluster: "c", fleet: "demo", node: "edge-1", service_from: "route_name", session_from: { cookie: "sid" } },
  { control_cluster: "c", service_from: { header: "x-service" }, session_from: { header: "x-session-id" } },
  { control_cluster: "c", service_from: { fixed: "payments" }, steer_header: "x-target", max_services: 16 },
  { control_cluster: "c", values: { payments: { a: "0", b: "60" }, quotes: {} }, max_set_bytes: 65_536 },
  { control_cluster: "c", debug_header: "x-ballast-debug", values: { payments: { a: "" }, quotes: { a: "", b: "b" } } },
];
const PIECES = [
  '"',
  "{",
  "}",
  ":",
  ",",
  "\\",
  "\\u0041",
  "null",
  "1e9",
  "-1",
  "4294967296",
  "[]",
  " ",
  "true",
  '"fleet":""',
];

/** Configurations: what is taken must be JSON with known fields only; a VM that refuses one goes on with the one before. */
export function fuzzConfigurations(seed: number, inputs: number): void {
  const random = new Seeded(seed);
  const { envoy } = start({ seed, workers: 1 });
  const vm = envoy.workers[0]!;
  const texts = GOOD.map((configuration) => new TextEncoder().encode(JSON.stringify(configuration)));
  for (let i = 0; i < inputs; i++) {
    const isGood = random.chance(0.05);
    const base = random.pick(texts);
    const bytes = isGood ? base : random.chance(0.5) ? mutate(random, base, texts) : piecewise(random, base);
    // Envoy hands the text over as bytes, whatever they are.
    const { root, accepted } = vm.configure(bytes);
    if (vm.trapped !== undefined)
      throw new Error(`trapped on ${Buffer.from(bytes).toString("base64")}`, { cause: vm.trapped });
    if (isGood && !accepted) throw new Error(`refused ${Buffer.from(bytes).toString()}`);
    if (accepted) assertKnown(bytes);
    if (vm.calls.length > 2_000) throw new Error(`${vm.calls.length} host calls for a configuration`);
    envoy.dropRoot(root);
    vm.roots.pop();
    vm.calls.length = 0;
    vm.logs.length = 0;
  }
  // The ceiling of the module: two regions and the directory at the largest values a configuration may have.
  if (vm.memoryBytes > 64 << 20) throw new Error(`${vm.memoryBytes} bytes`);
}

function piecewise(random: Seeded, base: Uint8Array): Uint8Array {
  const text = Buffer.from(base).toString("latin1");
  const at = random.below(text.length + 1);
  const gone = random.pick([0, 0, 1, 4]);
  return Buffer.from(text.slice(0, at) + random.pick(PIECES) + text.slice(at + gone), "latin1");
}

function assertKnown(bytes: Uint8Array): void {
  // Bytes that are no UTF-8 may stand in a text: the host takes them as they are.
  // Numbers with leading zeros are read as decimal ones, which JSON does not allow.
  const text = Buffer.from(bytes)
    .toString("latin1")
    .replace(/([:\s])0+(?=[1-9])/g, "$1");
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new Error(`took what is not JSON: ${JSON.stringify(text)}`, { cause });
  }
  const unknown = Object.keys(parsed as object).filter((field) => !FIELDS.has(field));
  if (unknown.length > 0) throw new Error(`took ${text}`);
}
