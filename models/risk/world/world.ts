import { ChangeHistory } from "../../../control/features/risk/change-history.ts";
import { SeededRandom } from "../../../control/features/seeded-random.ts";
import type { EstateRecords, IncidentRecord } from "../../../control/ingest/records.ts";
import { makePlans, type Plan, recordsOf } from "./plans.ts";
import { executionNoise, LOGIT, SPREAD, sigmoid, WORLD } from "./rates.ts";
import { makeTopology, type Topology } from "./topology.ts";

export interface WorldOptions {
  seed: number;
  /** Services of the estate; each has two or three targets. */
  services: number;
  days: number;
  /** Changes a year per 1,000 CIs. */
  changesPerYear: number;
  /** Share of (change, target) pairs that degrade; the intercept is set to meet it. */
  baseRate: number;
  /** A Monday. */
  startMs: number;
}

export interface World {
  records: EstateRecords;
  /** sys_ids of the CIs that carry targets. */
  targets: string[];
  /**
   * The world's own probability that the target degrades, by `truthKey`: what a forecaster with every fact and every hidden
   * quality, but not what happens during the work, would say. In the mean nobody can score better.
   */
  truth: ReadonlyMap<string, number>;
}

export const truthKey = (changeSysId: string, targetCi: string): string => `${changeSysId} ${targetCi}`;

export const DEFAULT_WORLD: WorldOptions = {
  seed: 1,
  services: 60,
  days: 3 * 364,
  changesPerYear: WORLD.changesPerYear,
  baseRate: WORLD.baseRate,
  startMs: Date.UTC(2023, 0, 2),
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Halvings of the intercept's interval: the base rate is met to about 1e-4. */
const TURNS = 10;

/** A seeded company: CIs, relations, changes, incidents, and which targets degraded. The same options give the same world. */
export function makeWorld(wanted: Partial<WorldOptions> = {}): World {
  const options = { ...DEFAULT_WORLD, ...wanted };
  const topology = makeTopology(options.services, options.startMs, options.seed);
  const plans = makePlans(topology, options);
  const calendar = new ChangeHistory(recordsOf(topology, plans, []));
  let [low, high] = [-7, 0];
  for (let turn = 0; ; turn++) {
    const middle = (low + high) / 2;
    const world = live(topology, plans, calendar, options, middle);
    if (turn === TURNS) return world;
    const mean = [...world.truth.values()].reduce((a, b) => a + b, 0) / world.truth.size;
    if (mean < options.baseRate) low = middle;
    else high = middle;
  }
}

/** Lives through the calendar once, in order of time. */
function live(
  topology: Topology,
  plans: readonly Plan[],
  calendar: ChangeHistory,
  options: WorldOptions,
  intercept: number,
): World {
  const random = new SeededRandom(options.seed * 104_729 + 2);
  const quality = hiddenQualities(topology, options, random);
  const incidents = new Incidents(random);
  for (const { sysId } of topology.cis) {
    const perDay = (WORLD.incidentsPerYear / 365) * Math.exp(quality.ci.get(sysId)!);
    for (let day = gap(random, perDay); day < options.days; day += gap(random, perDay)) {
      incidents.open(sysId, options.startMs + day * DAY_MS, 1 + Math.floor(random.next() ** 0.5 * 5), "");
    }
  }
  const facts = new Map(calendar.changes.map((one) => [one.sysId, one]));
  const truth = new Map<string, number>();
  for (const { record, formLogit, reaches } of plans) {
    const { cis, startMs, endMs, group, type } = facts.get(record.sysId)!;
    const near = calendar.neighbours(cis);
    const start = new Date(startMs);
    const ageMs = startMs - Math.max(...cis.map((ci) => calendar.createdMs(ci)!));
    const offHours = start.getUTCHours() < 6 || start.getUTCHours() >= 18;
    const logit =
      intercept +
      formLogit +
      quality.group(group, Math.floor((startMs - options.startMs) / (91 * DAY_MS))) +
      LOGIT.fragility * Math.max(...cis.map((ci) => quality.ci.get(ci)!)) +
      LOGIT.incidents * Math.log1p(incidents.recent(cis, startMs)) +
      LOGIT.nearIncidents * Math.log1p(incidents.recent(near, startMs)) +
      LOGIT.conflicts * Math.log1p(calendar.conflicts(facts.get(record.sysId)!, [...cis, ...near], startMs)) +
      (offHours ? LOGIT.offHours[type] : 0) +
      (start.getUTCDay() % 6 === 0 ? LOGIT.weekend : 0) +
      (ageMs < 90 * DAY_MS ? LOGIT.fresh : 0);
    const fails = random.next() < sigmoid(logit + WORLD.executionSd * random.normal());
    const mean = executionNoise(logit);
    for (const { target, distance } of reaches) {
      const spread = SPREAD[Math.min(distance, SPREAD.length - 1)]!;
      // Drawn for every pair, so that another intercept does not shift the draws of what follows.
      const [reached, during, when, priority] = [random.next(), random.next(), random.next(), random.next()];
      if (record.state === "canceled") continue;
      truth.set(truthKey(record.sysId, target), mean * spread);
      if (!fails || reached >= spread) continue;
      const openedMs =
        during < WORLD.during ? startMs + when * (endMs - startMs) : endMs + when * WORLD.aftermathHours * HOUR_MS;
      incidents.open(target, Math.floor(openedMs), 1 + Math.floor(priority * 3), record.sysId);
    }
  }
  return { records: recordsOf(topology, plans, incidents.records), targets: topology.targets, truth };
}

class Incidents {
  readonly records: IncidentRecord[] = [];
  readonly #times = new Map<string, number[]>();
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  open(ci: string, openedMs: number, priority: number, causedBy: string): void {
    const number = `INC${String(this.records.length).padStart(7, "0")}`;
    this.records.push({
      kind: "incident",
      sysId: number,
      number,
      state: "closed",
      priority,
      openedMs,
      resolvedMs: openedMs + Math.exp(this.#random.normal() * 0.9 + 1) * HOUR_MS,
      causedBy: { sysId: causedBy, display: "" },
      ci: { sysId: ci, display: "" },
      updatedMs: openedMs,
      provenance: { file: "world", table: "incident", index: this.records.length, line: 1, sysId: number },
    });
    const times = this.#times.get(ci);
    if (times === undefined) this.#times.set(ci, [openedMs]);
    else times.push(openedMs);
  }

  /** Opened in the 30 days before `atMs`. */
  recent(cis: readonly string[], atMs: number): number {
    let count = 0;
    for (const ci of cis) {
      for (const t of this.#times.get(ci) ?? []) if (t < atMs && t >= atMs - 30 * DAY_MS) count++;
    }
    return count;
  }
}

function hiddenQualities(topology: Topology, options: WorldOptions, random: SeededRandom) {
  const ci = new Map(topology.cis.map(({ sysId }) => [sysId, WORLD.ciSd * random.normal()]));
  const quarters = Math.ceil(options.days / 91) + 1;
  const groups = new Map<string, number[]>();
  for (let g = 0; g < WORLD.groups; g++) {
    const walk = [WORLD.groupSd * random.normal()];
    while (walk.length < quarters) walk.push(walk.at(-1)! + WORLD.groupDriftSd * random.normal());
    groups.set(`group-${g}`, walk);
  }
  return { ci, group: (name: string, quarter: number): number => groups.get(name)![quarter]! };
}

function gap(random: SeededRandom, perDay: number): number {
  return -Math.log(1 - random.next()) / perDay;
}
