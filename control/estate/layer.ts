/** The layer of hosts: what applications run on and capacity is counted from. */
export const SERVER_LAYER = 2;

/** The first match counts. Null: such a CI may stand anywhere. */
const LAYERS: readonly [RegExp, number | null][] = [
  [/^cmdb_ci_(service|business_app|business_process)/, 5],
  [/^cmdb_ci_(lb|load_balancer|cluster)/, null],
  [/^cmdb_ci_(appl|app_server|web_server|web_site)/, 4],
  [/^cmdb_ci_(db|database)/, 3],
  [/^cmdb_ci_([a-z]+_)?server$|^cmdb_ci_(vm|vm_instance|vmware_instance|computer)$/, SERVER_LAYER],
  [/^cmdb_ci_(netgear|ip_switch|ip_router|ip_firewall|network|storage|san|msd|nas|rack|datacenter|ups|pdu)/, 1],
];

/**
 * How high a class stands in the usual order service > application > database > server > infrastructure. A CI of a lower
 * layer does not depend on one of a higher layer, so such a relation was entered the wrong way round. Null where the
 * class does not tell (load balancers, clusters, unknown classes): then nothing is judged.
 */
export function layerOf(className: string): number | null {
  return LAYERS.find(([pattern]) => pattern.test(className))?.[1] ?? null;
}
