/**
 * The few messages of Envoy's RDS that the peer row needs, written field by field: a RouteConfiguration whose routes split between two
 * clusters. Field numbers: envoy/config/route/v3/{route,route_components}.proto. Envoy itself checks them: a wrong one is refused.
 */
const VARINT = 0;
const BYTES = 2;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

function field(number: number, value: string | number | Buffer): Buffer {
  if (typeof value === "number") return Buffer.concat([varint((number << 3) | VARINT), varint(value)]);
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint((number << 3) | BYTES), varint(bytes.length), bytes]);
}

export const ROUTE_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

export interface WeightedRoute {
  prefix: string;
  clusters: Readonly<Record<string, number>>;
}

export function routeConfiguration(name: string, routes: readonly WeightedRoute[]): Buffer {
  const encoded = routes.map(({ prefix, clusters }) => {
    const weighted = Object.entries(clusters).map(([cluster, weight]) =>
      field(1, Buffer.concat([field(1, cluster), field(2, weight === 0 ? Buffer.alloc(0) : field(1, weight))])),
    );
    const action = field(3, Buffer.concat(weighted));
    return field(3, Buffer.concat([field(1, field(1, prefix)), field(2, action)]));
  });
  const host = Buffer.concat([field(1, "all"), field(2, "*"), ...encoded]);
  return Buffer.concat([field(1, name), field(2, host)]);
}
