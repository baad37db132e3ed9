import { SeededRandom } from "../../../control/features/seeded-random.ts";
import type { CiRecord, RelationRecord } from "../../../control/ingest/records.ts";

export interface Topology {
  cis: CiRecord[];
  relations: RelationRecord[];
  /** sys_ids of the application CIs: each carries one target. */
  targets: string[];
  /** sys_ids by what they are, for drawing changes. */
  kinds: Record<"app" | "server" | "db" | "storage" | "switch", string[]>;
}

const SITES = ["a", "b", "c"];
const DAY_MS = 86_400_000;

/**
 * Sites with shared switches and storage, databases that two or three services share, applications on two to four servers.
 * One in twelve CIs came into the CMDB during the first year; the rest are up to six years older than the calendar.
 */
export function makeTopology(services: number, startMs: number, seed: number): Topology {
  const random = new SeededRandom(seed);
  const topology: Topology = {
    cis: [],
    relations: [],
    targets: [],
    kinds: { app: [], server: [], db: [], storage: [], switch: [] },
  };
  const add = (kind: keyof Topology["kinds"] | "service", name: string, className: string): string => {
    const fresh = random.next() < 1 / 12;
    const createdMs = startMs + (fresh ? random.uniform(0, 365) : -random.uniform(30, 2_200)) * DAY_MS;
    topology.cis.push({
      kind: "ci",
      sysId: name,
      name,
      className,
      lifecycle: "operational",
      criticality: kind === "service" ? 1 : Math.min(4, 1 + Math.floor(random.next() ** 1.5 * 4)),
      createdMs,
      updatedMs: null,
      provenance: { file: "world", table: className, index: topology.cis.length, line: 1, sysId: name },
    });
    if (kind !== "service") topology.kinds[kind].push(name);
    return name;
  };
  const relate = (parent: string, child: string, type: string): void => {
    const sysId = `${parent}>${child}`;
    const end = (id: string) => ({ sysId: id, display: "" });
    const provenance = { file: "world", table: "cmdb_rel_ci", index: topology.relations.length, line: 1, sysId };
    topology.relations.push({ kind: "relation", sysId, parent: end(parent), child: end(child), type, provenance });
  };
  const switches = new Map(
    SITES.map((s) => [s, [1, 2, 3, 4].map((n) => add("switch", `sw-${s}${n}`, "cmdb_ci_ip_switch"))]),
  );
  const arrays = new Map(
    SITES.map((s) => [s, [1, 2, 3].map((n) => add("storage", `array-${s}${n}`, "cmdb_ci_storage_device"))]),
  );
  const host = (name: string, site: string): string => {
    const server = add("server", name, "cmdb_ci_linux_server");
    relate(server, random.pick(switches.get(site)!), "Uses::Used by");
    return server;
  };
  const databases = new Map<string, string>();
  for (let s = 0; s < services; s++) {
    const service = add("service", `service-${s}`, "cmdb_ci_service");
    const group = Math.floor(s / 2.5);
    for (const site of SITES.slice(0, random.integer(2, 3))) {
      const app = add("app", `app-${s}-${site}`, "cmdb_ci_appl");
      topology.targets.push(app);
      relate(service, app, "Depends on::Used by");
      for (let n = random.integer(2, 4); n > 0; n--) relate(app, host(`srv-${s}-${site}${n}`, site), "Runs on::Runs");
      const key = `db-${group}-${site}`;
      if (!databases.has(key)) {
        databases.set(key, add("db", key, "cmdb_ci_db_instance"));
        relate(key, host(`srv-${key}`, site), "Hosted on::Hosts");
        relate(key, random.pick(arrays.get(site)!), "Uses::Used by");
      }
      relate(app, key, "Depends on::Used by");
    }
  }
  return topology;
}
