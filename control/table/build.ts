import { BallastError } from "../../common/errors.ts";
import { PPM } from "../plan/plan.ts";
import { encodeTable } from "./codec.ts";
import { smoothOrder } from "./order.ts";
import { quotasOf } from "./quotas.ts";
import { doubleSlots, homeTable, leastMoves, NO_OWNER, nextSticky } from "./sticky.ts";
import type { EncodedTable, WeightTable } from "./table.ts";

export interface TableInput {
  service: string;
  observe: boolean;
  /** M, a power of two from 256 to 16384; not smaller than that of `previous`. */
  slots: number;
  /** In any order. Each column of shares is in ppm and sums to 1,000,000. */
  targets: readonly {
    name: string;
    /** The share that gives each slot its home. */
    basePpm: number;
    /** Share of requests without a session: the order quota. */
    weightPpm: number;
    /** Share of sessions: the sticky quota. */
    stickyPpm: number;
    draining: boolean;
  }[];
  /** The table now in force for this service, or null for the first. */
  previous: WeightTable | null;
}

export interface BuiltTable {
  table: WeightTable;
  encoded: EncodedTable;
  /** Sticky slots whose owner differs from `previous` (after doubling, if M grew); 0 for a first table. */
  slotsMoved: number;
  /** The least that any table with these quotas must move; slotsMoved equals it. */
  slotsMinMoved: number;
  /** Largest distance between a share asked for and its quota, over both arrays, in ppm (rounded up). */
  quantisationPpm: number;
}

/**
 * Shares → slots → bytes for one service. A pure function of its input: the same plan after the same table gives the same
 * bytes on every server and after every restart. Targets are put in the order of their names, so that the order in which
 * a plan lists them does not matter. Throws TABLE_WEIGHTS_INVALID or TABLE_INVALID.
 */
export function buildTable(input: TableInput): BuiltTable {
  const { service, observe, slots, previous } = input;
  const targets = [...input.targets].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const within = <T>(what: string, make: () => T): T => {
    try {
      return make();
    } catch (error) {
      if (error instanceof BallastError && error.code === "TABLE_WEIGHTS_INVALID") {
        throw new BallastError(error.code, `${service}, ${what}: ${error.message.slice(error.code.length + 2)}`);
      }
      throw error;
    }
  };
  const orderPpm = targets.map((t) => t.weightPpm);
  const stickyPpm = targets.map((t) => t.stickyPpm);
  const basePpm = targets.map((t) => t.basePpm);
  const orderQuotas = within("weights", () => quotasOf(orderPpm, slots));
  const stickyQuotas = within("session shares", () => quotasOf(stickyPpm, slots));
  const home = within("base weights", () => homeTable(basePpm, slots));

  const before = previous === null ? Int16Array.from(home) : carryOver(previous, targets, slots);
  const sticky = nextSticky({ previous: before, quotas: stickyQuotas, home });
  const table: WeightTable = {
    service,
    observe,
    slots,
    targets: targets.map((t, i) => ({
      name: t.name,
      orderQuota: orderQuotas[i]!,
      stickyQuota: stickyQuotas[i]!,
      draining: t.draining,
    })),
    sticky,
    order: smoothOrder(orderQuotas),
  };
  let slotsMoved = 0;
  if (previous !== null) for (const [slot, owner] of before.entries()) if (sticky[slot] !== owner) slotsMoved++;
  return {
    table,
    encoded: encodeTable(table),
    slotsMoved,
    slotsMinMoved: previous === null ? 0 : leastMoves(before, stickyQuotas),
    quantisationPpm: Math.ceil(
      Math.max(quantisation(orderPpm, orderQuotas, slots), quantisation(stickyPpm, stickyQuotas, slots)),
    ),
  };
}

/** The sticky slots of `previous`, at `slots` slots and in the indexes of `targets`. */
function carryOver(previous: WeightTable, targets: readonly { name: string }[], slots: number): Int16Array {
  if (slots < previous.slots) {
    throw new BallastError(
      "TABLE_WEIGHTS_INVALID",
      `${previous.service}: ${slots} slots, but the table in force has ${previous.slots}; the number may only grow`,
    );
  }
  const indexByName = new Map(targets.map((target, i) => [target.name, i]));
  const toNew = previous.targets.map((target) => indexByName.get(target.name) ?? NO_OWNER);
  let owners = Int16Array.from(previous.sticky, (owner) => toNew[owner]!);
  while (owners.length < slots) owners = doubleSlots(owners) as Int16Array<ArrayBuffer>;
  return owners;
}

function quantisation(sharesPpm: readonly number[], quotas: readonly number[], slots: number): number {
  return Math.max(...sharesPpm.map((share, i) => Math.abs((quotas[i]! * PPM) / slots - share)));
}
