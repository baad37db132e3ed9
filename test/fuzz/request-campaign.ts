import { xxh64 } from "../../common/xxh64.ts";
import { decodeTable } from "../../control/table/codec.ts";
import { deploy, set, settle, start } from "../host/fixtures.ts";
import { Seeded } from "../race/seeded.ts";

const SLOTS = 256;
const LEADING = /^[\x00-\x20]+/;
const PIECES = [
  "sid",
  "=",
  ";",
  " ",
  "\t",
  "si",
  "sid=",
  "; sid=",
  "x=1; ",
  "SID=a",
  '"',
  ",",
  "",
  "\0",
  "é",
  "a".repeat(300),
];
const ROUTES = ["payments", "quotes", "", "paymentss", "payment", "x".repeat(5_000), "payments\0"];

/** Headers and cookies of clients, against a second reading of the same rules. */
export function fuzzRequests(seed: number, inputs: number): void {
  const random = new Seeded(seed);
  const from = random.pick(["cookie", "header", "none"] as const);
  const byHeader = random.chance(0.3);
  const { envoy, peer } = start({
    seed,
    workers: 1,
    config: {
      max_services: 16,
      max_set_bytes: 65_536,
      ...(from === "none" ? {} : { session_from: { [from]: from === "cookie" ? "sid" : "x-sid" } }),
      ...(byHeader ? { service_from: { header: "x-service" } } : {}),
    },
  });
  settle(envoy);
  const tables = set({
    payments: { order: { a: 100, b: 156 }, sticky: { a: 6, b: 250 } },
    quotes: { order: { c: 256 }, observe: true },
  });
  deploy(envoy, peer, 1, tables);
  const { sticky, targets } = decodeTable(tables.tables[0]!.bytes);
  const fleetSeed = xxh64(Buffer.from("demo"));
  const vm = envoy.workers[0]!;
  const memoryBytes = vm.memoryBytes;
  const counts = { a: 0, b: 0 };
  for (let i = 0; i < inputs; i++) {
    const route = random.chance(0.7) ? "payments" : random.pick(ROUTES);
    const text = Array.from({ length: random.below(9) }, () => random.pick(PIECES)).join("");
    const headers: Record<string, string> = { "x-ballast-target": "client" };
    if (random.chance(0.9)) headers[from === "header" ? "x-sid" : "cookie"] = text;
    if (byHeader) headers["x-service"] = route;
    const { steer, writes } = envoy.request(0, { route, headers });
    if (vm.trapped !== undefined) throw new Error(`trapped on ${JSON.stringify(headers)}`, { cause: vm.trapped });
    const key = from === "none" ? undefined : from === "header" ? headers["x-sid"] : cookie(headers.cookie);
    if (route !== "payments") {
      if (writes !== 0) throw new Error(`wrote ${steer} for the route ${JSON.stringify(route)}`);
    } else if (key !== undefined && key !== "") {
      const slot = Number(xxh64(Buffer.from(key, "latin1"), fleetSeed) >> 56n) % SLOTS;
      const want = targets[sticky[slot]!]!.name;
      if (steer !== want) throw new Error(`${JSON.stringify(headers)} went to ${steer} in place of ${want}`);
    } else counts[steer as "a" | "b"]++;
    vm.calls.length = 0;
  }
  // Requests without a session walk `order` round and round.
  const rounds = (counts.a + counts.b) / SLOTS;
  if (Math.abs(counts.a - rounds * 100) > 100) throw new Error(`${JSON.stringify(counts)} is not 100 to 156`);
  if (vm.memoryBytes !== memoryBytes) throw new Error("memory grew");
}

/** RFC 6265, 5.4, the first of several; an empty one is none. Control bytes, which no HTTP header may hold, count as spaces. */
function cookie(header: string | undefined): string | undefined {
  for (const pair of (header ?? "").split(";")) {
    const text = pair.replace(LEADING, "");
    if (text.startsWith("sid=")) return text.slice(4);
  }
  return undefined;
}
