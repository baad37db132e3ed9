import { digestHex, xxh64 } from "../../common/xxh64.ts";
import type { Ci, Dependency, EstateService } from "./estate.ts";

/**
 * Names the content of an estate: CIs, dependencies, services with capacities and windows. File names, lines, findings
 * and the time of reading do not count. Each item is hashed alone and the digests are hashed again, so that a large
 * estate needs no second copy in one string.
 */
export function estateDigest(
  cis: ReadonlyMap<string, Ci>,
  dependencies: readonly Dependency[],
  services: ReadonlyMap<string, EstateService>,
): string {
  const encoder = new TextEncoder();
  const digests = new BigUint64Array(cis.size + dependencies.length + services.size);
  let at = 0;
  const add = (item: unknown): void => {
    digests[at++] = xxh64(encoder.encode(JSON.stringify(item)));
  };
  for (const c of cis.values()) {
    add([
      "ci",
      c.id,
      c.name,
      c.className,
      c.operational,
      c.retired,
      c.cpuCores ?? null,
      c.cpuSpeedMhz ?? null,
      c.ramMb ?? null,
    ]);
  }
  for (const d of dependencies) add(["dep", d.dependent, d.dependency, d.type]);
  for (const name of [...services.keys()].sort()) {
    const { ciId, targets } = services.get(name)!;
    add([
      "service",
      name,
      ciId,
      targets.map((t) => [
        t.name,
        t.ciId,
        t.capacityRps,
        // JSON has no Infinity: an open incident's end becomes null.
        t.windows.map((w) => [w.ticket, w.kind, w.startMs, w.endMs, w.ciId, w.path, w.remaining]),
        ...(t.pending === undefined ? [] : [t.pending.map((w) => [w.ticket, w.startMs, w.endMs, w.ciId, w.path])]),
      ]),
    ]);
  }
  // Little-endian whatever the machine: the digest is stored in checkpoints.
  const bytes = new DataView(new ArrayBuffer(8 * at));
  for (let i = 0; i < at; i++) bytes.setBigUint64(8 * i, digests[i]!, true);
  return digestHex(xxh64(new Uint8Array(bytes.buffer)));
}
