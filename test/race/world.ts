import { encodeTable } from "../../control/table/codec.ts";
import { makeSet } from "../../control/table/set.ts";
import type { EncodedTable, TableSet } from "../../control/table/table.ts";
import type { Seeded } from "./seeded.ts";

/**
 * Sets that can be told apart by one request: each table has one target, which is called after its service and a version,
 * and the version changes whenever the table does.
 */
export class World {
  readonly services: readonly string[];
  readonly sets = new Map<bigint, TableSet>();
  readonly #versions = new Map<bigint, Map<string, number>>();
  #nextVersion = 1;

  constructor(services: number) {
    this.services = Array.from({ length: services }, (_, i) => `s${i}`);
  }

  /** A set that differs from `base` in one table at least; sometimes services come or go. */
  next(random: Seeded, base: TableSet | undefined): TableSet {
    const versions = new Map(base === undefined ? [] : this.#versions.get(base.digest)!);
    const share = random.pick([0.05, 0.5, 1]);
    const always = random.pick(this.services);
    for (const service of this.services) {
      if (service === always || !versions.has(service) || random.chance(share)) {
        if (service !== always && random.chance(0.03)) versions.delete(service);
        else versions.set(service, this.#nextVersion++);
      }
    }
    const set = makeSet([...versions].map(([service, version]) => tableOf(service, version)));
    this.sets.set(set.digest, set);
    this.#versions.set(set.digest, versions);
    return set;
  }

  /** The value that a VM on this set writes for a service, undefined when it has no table. */
  valueOf(digest: bigint, service: string): string | undefined {
    const version = this.#versions.get(digest)!.get(service);
    return version === undefined ? undefined : `${service}.v${version}`;
  }
}

const tables = new Map<string, EncodedTable>();
function tableOf(service: string, version: number): EncodedTable {
  const target = `${service}.v${version}`;
  let table = tables.get(target);
  if (table === undefined) {
    table = encodeTable({
      service,
      observe: false,
      slots: 256,
      targets: [{ name: target, orderQuota: 256, stickyQuota: 256, draining: false }],
      sticky: new Uint8Array(256),
      order: new Uint8Array(256),
    });
    if (tables.size > 20_000) tables.clear();
    tables.set(target, table);
  }
  return table;
}
