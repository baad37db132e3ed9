import { createServer } from "node:net";
import { BallastError } from "../common/errors.ts";
import type { BallastConfig, SocketAddress } from "../control/config/config.ts";

/** Where everything of one demo listens; all on loopback. */
export interface DemoPorts {
  listen: number;
  admin: number;
  xds: SocketAddress;
  api: SocketAddress;
  /** Per target, in the order of ballast.yaml. */
  targets: ReadonlyMap<string, number>;
}

/** Envoy's listener when `--port-base` is not given; the targets follow from the tenth port after it. */
export const DEFAULT_PORT_BASE = 10_000;
const TARGET_OFFSET = 10;

/**
 * With `portBase`, everything moves together: listener, admin, xDS and API on the base and the three ports after it, targets from
 * the tenth on. Without, admin, xDS and API are those of ballast.yaml.
 */
export function planPorts(config: BallastConfig, portBase: number | null): DemoPorts {
  const base = portBase ?? DEFAULT_PORT_BASE;
  const names = [...config.services.values()].flatMap((service) => [...service.targets.keys()]);
  const last = base + TARGET_OFFSET + names.length - 1;
  if (!Number.isInteger(base) || base < 1024 || last > 65_535) {
    throw new BallastError(
      "USAGE",
      `--port-base ${base}: expected a port from 1024 to ${65_535 - TARGET_OFFSET - names.length}`,
    );
  }
  const targets = new Map(names.map((name, index) => [name, base + TARGET_OFFSET + index]));
  if (portBase !== null) {
    const host = "127.0.0.1";
    return { listen: base, admin: base + 1, xds: { host, port: base + 2 }, api: { host, port: base + 3 }, targets };
  }
  for (const field of ["xds", "api"] as const) {
    if (config.server[field].port !== 0) continue;
    throw new BallastError(
      "USAGE",
      `server.${field} in ${config.file} has port 0, and the demo must know the port beforehand`,
    );
  }
  return { listen: base, admin: adminPort(config), xds: config.server.xds, api: config.server.api, targets };
}

function adminPort(config: BallastConfig): number {
  const url = config.envoy.admin[0];
  if (url === undefined) {
    throw new BallastError("USAGE", `${config.file} names no envoy.admin, which the demo's Envoy needs`, {
      hint: "Add for example envoy: { admin: [http://127.0.0.1:9901] }.",
    });
  }
  return Number(new URL(url).port);
}

/** Throws PORT_TAKEN for the first port that something else listens on, with what to change. */
export async function requireFreePorts(ports: DemoPorts, config: BallastConfig): Promise<void> {
  const moveAll = "Stop what listens there, or move the whole demo with --port-base N.";
  const setting = (field: string): string =>
    `Stop what listens there, change ${field} in ${config.file}, or move the whole demo with --port-base N.`;
  await requireFree(ports.listen, "Envoy's listener", moveAll);
  await requireFree(ports.admin, "Envoy's admin endpoint", setting("envoy.admin"));
  await requireFree(ports.xds.port, "the control server (xDS)", setting("server.xds"));
  await requireFree(ports.api.port, "the control server's API", setting("server.api"));
  for (const [target, port] of ports.targets) await requireFree(port, `target ${target}`, moveAll);
}

async function requireFree(port: number, who: string, hint: string): Promise<void> {
  // The system picks port 0 itself.
  if (port === 0) return;
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (cause: NodeJS.ErrnoException) => {
      const reason = cause.code === "EADDRINUSE" ? "is in use" : `cannot be used (${cause.code})`;
      reject(new BallastError("PORT_TAKEN", `127.0.0.1:${port} for ${who} ${reason}`, { cause, hint }));
    });
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => probe.close(() => resolve()));
  });
}
