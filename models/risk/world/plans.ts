import { buildGraph } from "../../../control/estate/graph.ts";
import { Reach } from "../../../control/estate/reach.ts";
import { SeededRandom } from "../../../control/features/seeded-random.ts";
import type {
  ChangeRecord,
  ChangeType,
  EstateRecords,
  IncidentRecord,
  TaskCiRecord,
} from "../../../control/ingest/records.ts";
import { LOGIT, WORLD } from "./rates.ts";
import type { Topology } from "./topology.ts";

/** One change of the world before anything has happened. */
export interface Plan {
  record: ChangeRecord;
  furtherCis: TaskCiRecord[];
  /** The part of the logit that is known from the form alone, without the intercept. */
  formLogit: number;
  /** The targets that depend on its CIs, each with the relations between. */
  reaches: { target: string; distance: number }[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** All changes of the calendar with what people write on them, in order of start. */
export function makePlans(
  topology: Topology,
  options: { seed: number; days: number; changesPerYear: number; startMs: number },
): Plan[] {
  const random = new SeededRandom(options.seed * 7919 + 1);
  const above = targetsAbove(topology);
  const count = Math.round((options.changesPerYear * topology.cis.length * options.days) / 365_000);
  const plans: Plan[] = [];
  for (let n = 0; n < count; n++) {
    const type = pick(random, WORLD.types) satisfies ChangeType;
    const kind = pick(random, WORLD.kinds);
    const hours = Math.min(48, Math.exp(random.normal() * 0.8 + (type === "standard" ? 0 : 0.8)));
    const leadHours = type === "emergency" ? random.uniform(0.2, 12) : Math.exp(random.normal() + 4.4);
    const startMs = options.startMs + drawStart(random, options.days, type);
    const cis = new Set([random.pick(topology.kinds[kind])]);
    const further = kind === "server" && random.next() < 0.25 ? random.integer(1, 4) : 0;
    while (cis.size < 1 + further) cis.add(random.pick(topology.kinds.server));
    const size = Math.log1p(hours) - 1.1;
    const data = kind === "db" || kind === "storage" ? LOGIT.bigData * Math.max(0, size) : 0;
    const lead = LOGIT.lead * (Math.log1p(leadHours) - 4);
    const formLogit =
      LOGIT.type[type] + LOGIT.kind[kind] + LOGIT.size * size + data + LOGIT.cis * Math.log1p(further) + lead;
    const seen = formLogit * WORLD.assessor.sight + random.normal() * WORLD.assessor.noise;
    const impact = Math.round(2 - LOGIT.kind[kind] + random.normal() * 0.5);
    const sysId = `chg${String(n).padStart(6, "0")}`;
    const provenance = { file: "world", table: "change_request", index: n, line: 1, sysId };
    const [first, ...others] = [...cis];
    const record: ChangeRecord = {
      kind: "change",
      sysId,
      number: `CHG${String(n).padStart(7, "0")}`,
      state: random.next() < WORLD.canceled ? "canceled" : "closed",
      approval: "approved",
      onHold: false,
      plannedStartMs: startMs,
      plannedEndMs: startMs + hours * HOUR_MS,
      workStartMs: null,
      workEndMs: null,
      ci: { sysId: first!, display: "" },
      plan: {
        type,
        riskLevel: random.next() < WORLD.blankRisk ? null : 1 + WORLD.assessor.cuts.filter((cut) => seen > cut).length,
        impact: random.next() < 0.1 ? null : Math.min(3, Math.max(1, impact)),
        createdMs: startMs - leadHours * HOUR_MS,
        group: `group-${Math.floor(random.next() ** 1.5 * WORLD.groups)}`,
      },
      updatedMs: startMs,
      provenance,
    };
    const furtherCis = others.map(
      (ci, i): TaskCiRecord => ({
        kind: "task_ci",
        sysId: `${sysId}+${i}`,
        task: { sysId, display: "" },
        ci: { sysId: ci, display: "" },
        provenance,
      }),
    );
    plans.push({ record, furtherCis, formLogit, reaches: nearest([...cis].flatMap((ci) => above.get(ci) ?? [])) });
  }
  return plans.sort((a, b) => a.record.plannedStartMs! - b.record.plannedStartMs!);
}

export function recordsOf(topology: Topology, plans: readonly Plan[], incidents: IncidentRecord[]): EstateRecords {
  return {
    source: "world",
    cis: topology.cis,
    relations: topology.relations,
    changes: plans.map((plan) => plan.record),
    incidents,
    taskCis: plans.flatMap((plan) => plan.furtherCis),
    findings: [],
  };
}

function targetsAbove(topology: Topology): Map<string, Plan["reaches"]> {
  const graph = buildGraph(recordsOf(topology, [], []));
  const above = new Map<string, Plan["reaches"]>();
  for (const target of topology.targets) {
    const reach = new Reach(graph, graph.cis.get(target)!, "");
    for (const id of reach.ids()) {
      const list = above.get(id) ?? [];
      list.push({ target, distance: reach.path(id).length - 1 });
      above.set(id, list);
    }
  }
  return above;
}

function nearest(reaches: Plan["reaches"]): Plan["reaches"] {
  const best = new Map<string, number>();
  for (const { target, distance } of reaches) {
    best.set(target, Math.min(distance, best.get(target) ?? Number.POSITIVE_INFINITY));
  }
  return [...best].map(([target, distance]) => ({ target, distance }));
}

function pick<K extends string>(random: SeededRandom, weights: Record<K, number>): K {
  let left = random.next();
  const keys = Object.keys(weights) as K[];
  for (const key of keys) {
    left -= weights[key];
    if (left < 0) return key;
  }
  return keys.at(-1)!;
}

/** Ms into the calendar. Emergencies come at any time; of the rest two thirds on weekdays by day, 15 % on weekends. */
function drawStart(random: SeededRandom, days: number, type: ChangeType): number {
  const weekend = random.next() < (type === "emergency" ? 2 / 7 : 0.15);
  const weeks = Math.floor(days / 7);
  const day = random.integer(0, weeks - 1) * 7 + (weekend ? random.integer(5, 6) : random.integer(0, 4));
  const byDay = random.next() < (type === "emergency" ? 0.5 : 0.68);
  const hour = byDay ? random.uniform(6, 18) : (18 + random.uniform(0, 12)) % 24;
  return day * DAY_MS + Math.round(hour * 4) * (HOUR_MS / 4);
}
