import { readFile } from "node:fs/promises";
import { encodeTable } from "../../control/table/codec.ts";
import { smoothOrder } from "../../control/table/order.ts";
import { makeSet } from "../../control/table/set.ts";
import type { EncodedTable, TableSet } from "../../control/table/table.ts";
import { buildFilter } from "../../scripts/build-filter.ts";
import { Envoy, type EnvoyOptions } from "./envoy.ts";
import { XdsPeer } from "./xds-peer.ts";

/** The released bytes. */
export const moduleBytes = await readFile(await buildFilter());
export const module = await WebAssembly.compile(moduleBytes);

export interface TableSpec {
  /** Target name → order quota; they sum to a power of two from 256. */
  order: Record<string, number>;
  /** Target name → sticky quota; as `order` unless given. */
  sticky?: Record<string, number>;
  observe?: boolean;
}

/** A table of blocks in `sticky` and a smooth `order`. */
export function table(service: string, spec: TableSpec): EncodedTable {
  const names = Object.keys(spec.order);
  const orderQuotas = names.map((name) => spec.order[name]!);
  const stickyQuotas = names.map((name) => (spec.sticky ?? spec.order)[name]!);
  return encodeTable({
    service,
    observe: spec.observe ?? false,
    slots: orderQuotas.reduce((a, b) => a + b, 0),
    targets: names.map((name, i) => ({
      name,
      orderQuota: orderQuotas[i]!,
      stickyQuota: stickyQuotas[i]!,
      draining: orderQuotas[i] === 0,
    })),
    sticky: Uint8Array.from(stickyQuotas.flatMap((quota, i) => new Array<number>(quota).fill(i))),
    order: smoothOrder(orderQuotas),
  });
}

export function set(tables: Record<string, TableSpec>): TableSet {
  return makeSet(Object.entries(tables).map(([service, spec]) => table(service, spec)));
}

/** The same shape for every number, with other bytes. */
export function splitSet(service: string, a: number, slots = 256): TableSet {
  return set({ [service]: { order: { [`${service}_a`]: a, [`${service}_b`]: slots - a } } });
}

export const CONFIGURATION = JSON.stringify({ control_cluster: "ballast_control" });

/** An Envoy with a fake control server on its stream. */
export function start(options: Partial<EnvoyOptions> & { config?: Record<string, unknown> } = {}): {
  envoy: Envoy;
  peer: XdsPeer;
} {
  const { config, ...rest } = options;
  const envoy = new Envoy({
    module,
    workers: 2,
    configuration: JSON.stringify({ control_cluster: "ballast_control", ...config }),
    ...rest,
  });
  return { envoy, peer: new XdsPeer(envoy) };
}

/** Runs until the stream is open and the leader may acknowledge (membership unchanged for a second). */
export function settle(envoy: Envoy): void {
  envoy.advance(1_500);
}

/** Stages and activates a set, and throws unless both were acknowledged. */
export function deploy(envoy: Envoy, peer: XdsPeer, epoch: number, tables: TableSet, term = 1): void {
  const staged = peer.stage(epoch, tables, { term });
  envoy.advance(300);
  if (peer.answer(staged)?.ack !== true) throw new Error(`stage ${epoch}: ${JSON.stringify(peer.nacks)}`);
  const activated = peer.activate(epoch, tables.digest, { term });
  envoy.advance(300);
  if (peer.answer(activated)?.ack !== true) throw new Error(`activation ${epoch}: ${JSON.stringify(peer.nacks)}`);
}
