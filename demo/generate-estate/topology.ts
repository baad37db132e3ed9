/** The trading back office as a CMDB sees it. Keys are today's names; sys_ids are made from them and outlive a renaming. */
export interface DemoCi {
  key: string;
  className: string;
  /** The export file's table; a class of its own may stand in the table of its parent class. */
  table: string;
  /** Processors, cores of each, MHz, MB. */
  cpu?: { count: number; cores: number; mhz: number; ramMb: number };
  retired?: true;
}

export interface DemoRelation {
  /** The one that depends, and what it needs. */
  dependent: string;
  dependency: string;
  type: "Depends on::Used by" | "Runs on::Runs" | "Hosted on::Hosts" | "Uses::Used by";
}

export const CIS: DemoCi[] = [];
export const RELATIONS: DemoRelation[] = [];

const MHZ = 2500;

for (const key of ["Payments", "Quotes", "Ledger", "Reporting"]) {
  CIS.push({ key, className: "cmdb_ci_service", table: "cmdb_ci_service" });
}

/** An application on its own servers, with what else it needs. */
function app(
  key: string,
  service: string,
  servers: [key: string, cores: number, mhz: number][],
  needs: string[],
): void {
  CIS.push({ key, className: "cmdb_ci_appl", table: "cmdb_ci_appl" });
  RELATIONS.push({ dependent: service, dependency: key, type: "Depends on::Used by" });
  for (const [server, cores, mhz] of servers) {
    host(server, { count: 2, cores: cores / 2, mhz, ramMb: cores * 4096 });
    RELATIONS.push({ dependent: key, dependency: server, type: "Runs on::Runs" });
  }
  for (const dependency of needs) RELATIONS.push({ dependent: key, dependency, type: "Depends on::Used by" });
}

function host(key: string, cpu: NonNullable<DemoCi["cpu"]>): void {
  CIS.push({ key, className: "cmdb_ci_linux_server", table: "cmdb_ci_server", cpu });
}

function database(key: string, server: string, storage: string): void {
  CIS.push({ key, className: "cmdb_ci_db_instance", table: "cmdb_ci_db_instance" });
  host(server, { count: 2, cores: 8, mhz: MHZ, ramMb: 131_072 });
  RELATIONS.push({ dependent: key, dependency: server, type: "Hosted on::Hosts" });
  RELATIONS.push({ dependent: server, dependency: storage, type: "Uses::Used by" });
}

// Site b's database serves payments and ledger, not quotes, which reads prices from caches of its own.
app(
  "pay-app-a",
  "Payments",
  [
    ["srv-pay-a1", 8, MHZ],
    ["srv-pay-a2", 8, MHZ],
  ],
  ["core-db-a"],
);
app(
  "pay-app-b",
  "Payments",
  [
    ["srv-pay-b1", 6, MHZ],
    ["srv-pay-b2", 6, MHZ],
  ],
  ["core-db-b"],
);
// Slower than the rest, so that the base weights are too much for it at the peaks of the day.
app("quote-app-a", "Quotes", [["srv-quote-a1", 8, 2400]], ["quote-cache-a"]);
app("quote-app-b", "Quotes", [["srv-quote-b1", 8, MHZ]], ["quote-cache-b"]);
app("quote-app-n", "Quotes", [["srv-quote-n1", 8, 3750]], ["quote-cache-n"]);
app("ledger-app-a", "Ledger", [["srv-ledger-a1", 8, MHZ]], ["core-db-a"]);
app("ledger-app-b", "Ledger", [["srv-ledger-b1", 8, MHZ]], ["core-db-b"]);
app("report-app", "Reporting", [["srv-report-1", 4, MHZ]], ["report-db"]);
app("batch-app", "Reporting", [["srv-batch-1", 4, MHZ]], ["report-db"]);

database("core-db-a", "srv-db-a", "san-a");
database("core-db-b", "srv-db-b", "san-b");
database("quote-cache-a", "srv-cache-a", "san-a");
database("quote-cache-b", "srv-cache-b", "san-c");
database("quote-cache-n", "srv-cache-n", "san-c");
database("report-db", "srv-db-r", "nas-1");

for (const key of ["san-a", "san-b", "san-c", "nas-1", "nas-2"]) {
  CIS.push({ key, className: "cmdb_ci_storage_device", table: "cmdb_ci_storage_device" });
}
for (const key of ["srv-backup-1", "srv-monitor-1", "srv-jump-a", "srv-jump-b", "srv-mail-1", "srv-build-1"]) {
  host(key, { count: 1, cores: 4, mhz: MHZ, ramMb: 16_384 });
}
CIS.push({
  key: "srv-pay-b0",
  className: "cmdb_ci_linux_server",
  table: "cmdb_ci_server",
  cpu: { count: 1, cores: 4, mhz: 2000, ramMb: 8192 },
  retired: true,
});
RELATIONS.push({ dependent: "srv-backup-1", dependency: "nas-2", type: "Uses::Used by" });

/** Switches of a rack, routers and firewalls of a site. Load balancers stand before the applications. */
for (const site of ["a", "b", "n", "o"]) {
  for (const key of [`sw-${site}1`, `sw-${site}2`])
    CIS.push({ key, className: "cmdb_ci_ip_switch", table: "cmdb_ci_netgear" });
  CIS.push({ key: `rt-${site}`, className: "cmdb_ci_ip_router", table: "cmdb_ci_netgear" });
  for (const key of [`sw-${site}1`, `sw-${site}2`]) {
    RELATIONS.push({ dependent: key, dependency: `rt-${site}`, type: "Depends on::Used by" });
  }
}
for (const key of ["fw-1", "fw-2"]) CIS.push({ key, className: "cmdb_ci_ip_firewall", table: "cmdb_ci_netgear" });
CIS.push({ key: "lb-1", className: "cmdb_ci_lb", table: "cmdb_ci_lb" });
CIS.push({ key: "lb-2", className: "cmdb_ci_lb", table: "cmdb_ci_lb" });

/** Each server hangs on a switch of its site; those of no site on the office's. */
for (const { key, retired } of CIS.filter((ci) => ci.className === "cmdb_ci_linux_server")) {
  if (retired) continue;
  const site = /-([abn])\d?$/.exec(key)?.[1] ?? "o";
  const rack = /-db-|-cache-/.test(key) ? 2 : 1;
  RELATIONS.push({ dependent: key, dependency: `sw-${site}${rack}`, type: "Depends on::Used by" });
}
