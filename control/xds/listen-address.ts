import { isIPv4, isIPv6 } from "node:net";
import { BallastError } from "../../common/errors.ts";

/** `host:port` or `[v6]:port`, taken apart. Throws USAGE for anything else. */
export function parseListenAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) {
    throw new BallastError("USAGE", `${JSON.stringify(address)} is not HOST:PORT`);
  }
  return { host, port };
}

/** True only for addresses that no other machine can reach. A name other than `localhost` is not looked up: not loopback. */
export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith("127.");
  if (isIPv6(host)) return host === "::1";
  return host === "localhost";
}
