import { isIPv4 } from "node:net";
import { PPM } from "../plan/plan.ts";
import type { SocketAddress } from "./config.ts";

/** How one scalar of the file is read: `parse` gives undefined when the text is not what `expected` says. */
export interface ValueKind<T> {
  expected: string;
  parse(text: string): T | undefined;
}

const DURATION_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function duration(bounds: { minMs: number; maxMs: number; range: string }): ValueKind<number> {
  return {
    expected: `a duration such as 90s, 10m, 2h or 1d, ${bounds.range}`,
    parse(text) {
      const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text);
      if (match === null) return undefined;
      const ms = Math.round(Number(match[1]) * DURATION_MS[match[2]!]!);
      return ms >= bounds.minMs && ms <= bounds.maxMs ? ms : undefined;
    },
  };
}

/** A percent as an integer in parts per million; four digits after the point are exact. */
export function percentPpm(bounds: { minPpm: number; range: string }): ValueKind<number> {
  return {
    expected: `a percent such as 20% (${bounds.range})`,
    parse(text) {
      const match = /^(\d{1,3}(?:\.\d{1,4})?)\s*%$/.exec(text);
      if (match === null) return undefined;
      const ppm = Math.round(Number(match[1]) * 10_000);
      return ppm >= bounds.minPpm && ppm <= PPM ? ppm : undefined;
    },
  };
}

export const share = percentPpm({ minPpm: 0, range: "0% to 100%" });
export const shareAboveZero = percentPpm({ minPpm: 1, range: "above 0%, at most 100%" });

/** The same text as `share`, as a number from 0 to 1. */
export function fraction(kind: ValueKind<number>): ValueKind<number> {
  return {
    expected: kind.expected,
    parse(text) {
      const ppm = kind.parse(text);
      return ppm === undefined ? undefined : ppm / PPM;
    },
  };
}

export function numberBetween(min: number, max: number, what: string, exclusive = false): ValueKind<number> {
  return {
    expected: what,
    parse(text) {
      if (!/^-?\d{1,12}(\.\d{1,9})?$/.test(text)) return undefined;
      const value = Number(text);
      const inside = exclusive ? value > min && value < max : value >= min && value <= max;
      return inside ? value : undefined;
    },
  };
}

export function oneOf<const T extends string>(...words: readonly T[]): ValueKind<T> {
  return { expected: words.join(" or "), parse: (text) => words.find((word) => word === text) };
}

/** A date and time of day with a zone, as milliseconds since the Unix epoch. Without a zone it would mean another hour on each machine. */
export const instant: ValueKind<number> = {
  expected: "a time with its zone such as 2026-03-02T06:05:00Z or 2026-03-02T07:05:00+01:00",
  parse(text) {
    const match =
      /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,3})?)?\s?(?:Z|[+-]\d{2}:\d{2})$/i.exec(text);
    if (match === null) return undefined;
    const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
    const calendar = new Date(Date.UTC(year, month - 1, day));
    if (calendar.getUTCMonth() !== month - 1 || calendar.getUTCDate() !== day) return undefined;
    const ms = Date.parse(text.replace(" ", "T").replace(/\s/g, "").toUpperCase());
    return Number.isNaN(ms) ? undefined : ms;
  },
};

/** Names of services and targets: what a weight table can carry (docs/reference/weight-table.md). */
export const NAME_PATTERN = /^[A-Za-z0-9._:|-]{1,128}$/;
export const name: ValueKind<string> = {
  expected: "a name of 1 to 128 of the characters A-Z a-z 0-9 . _ : | -",
  parse: (text) => (NAME_PATTERN.test(text) ? text : undefined),
};

export function text(what: string, maxLength = 1024): ValueKind<string> {
  return {
    expected: what,
    parse: (value) => (value.trim() !== "" && value.length <= maxLength && !/[\0\r\n]/.test(value) ? value : undefined),
  };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function parseAddress(value: string): SocketAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  if (match === null) return undefined;
  const host = match[1] ?? match[2]!;
  const port = Number(match[3]);
  return port <= 65_535 ? { host, port } : undefined;
}

/** Without TLS an address that others can reach is refused. */
export const listenAddress: ValueKind<SocketAddress> = {
  expected: "a loopback address and port such as 127.0.0.1:18000; any other address would need TLS",
  parse(value) {
    const address = parseAddress(value);
    return address !== undefined && isLoopback(address.host) ? address : undefined;
  },
};

export const tlsListenAddress: ValueKind<SocketAddress> = {
  expected: "an address and port such as 0.0.0.0:18001",
  parse: parseAddress,
};

/** Clear-text http reveals and allows control of an Envoy, so it is for loopback alone. */
export const adminUrl: ValueKind<string> = {
  expected: "a URL such as http://127.0.0.1:9901; http is for loopback only, other hosts need https",
  parse(value) {
    if (value.length > 1024 || !URL.canParse(value)) return undefined;
    const url = new URL(value);
    if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") return undefined;
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(host))) return undefined;
    return value.replace(/\/+$/, "");
  },
};

export const slots: ValueKind<number> = {
  expected: "a power of two from 256 to 16384",
  parse(value) {
    if (!/^\d{1,5}$/.test(value)) return undefined;
    const m = Number(value);
    return m >= 256 && m <= 16_384 && (m & (m - 1)) === 0 ? m : undefined;
  },
};
