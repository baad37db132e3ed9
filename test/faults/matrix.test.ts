import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findNats } from "../../scripts/fetch-nats.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { trappingFilter } from "../envoy/fixture/trapping-filter.ts";
import { FleetStand } from "./fleet-stand.ts";
import { CELLS, type Cell, FAULTS, seeded, shuffled, survive } from "./matrix.ts";

const requirements = await requireEnvoy();
const skip = requirements.skip || ((await findNats()) === null && "no nats-server: npm test fetches one");

/** The seed decides which fault meets which step, where, and when within it. */
const SEED = Number(process.env.BALLAST_FAULT_SEED ?? 1);
/** BALLAST_FAULTS=all makes every fault at every step; a number, so many of them. */
const wanted = process.env.BALLAST_FAULTS;
/** Without it each fault once, at a step that the seed chooses, but for those that several-servers.test.ts has anyway. */
const chosen = (cells: readonly Cell[]): readonly Cell[] => {
  if (wanted !== undefined) return cells.slice(0, wanted === "all" ? CELLS.length : Number(wanted));
  return cells.slice(0, FAULTS.length).filter(({ fault }) => fault !== "server" && fault !== "sleep");
};

describe(`faults at the steps of an epoch's life, seed ${SEED}`, { skip }, () => {
  let stand: FleetStand;
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ballast-trapping-"));
    stand = await FleetStand.start({ requirements, wasmPath: await trappingFilter(folder) });
  });
  after(async () => {
    await stand?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const random = seeded(SEED);
  for (const cell of chosen(shuffled(random))) {
    test(`${cell.fault} while an epoch is ${cell.step}: nothing is lost, nothing is mixed, one history`, async (t) => {
      const { outcome, requests, steered, committed } = await survive(stand, cell, random);
      t.diagnostic(`${requests} requests, ${steered} steered, ${committed} epochs; the one that was held: ${outcome}`);
    });
  }
});
