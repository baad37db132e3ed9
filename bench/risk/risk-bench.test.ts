import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../control/features/seeded-random.ts";
import { LogisticRegression } from "./logistic.ts";
import { planEffect } from "./plan-effect.ts";
import { scoreRow } from "./scores.ts";
import { incidentRow, readIncidents } from "./uci/incidents.ts";

test("logistic regression finds the probabilities that made its data, also where values are missing", () => {
  const random = new SeededRandom(4);
  const truth = (x: number, gap: boolean): number => 1 / (1 + Math.exp(-(gap ? 1 : 2 * x) + 1));
  const rows: Float32Array[] = [];
  const outcome: boolean[] = [];
  for (let i = 0; i < 4_000; i++) {
    const gap = random.next() < 0.2;
    const x = random.normal();
    rows.push(Float32Array.of(gap ? Number.NaN : x, random.normal()));
    outcome.push(random.next() < truth(x, gap));
  }
  const model = LogisticRegression.fit(
    rows,
    outcome,
    rows.map(() => 1),
  );
  for (const x of [-1, 0, 1]) assert.ok(Math.abs(model.probability(Float32Array.of(x, 0)) - truth(x, false)) < 0.06);
  assert.ok(Math.abs(model.probability(Float32Array.of(Number.NaN, 0)) - truth(0, true)) < 0.06);
});

test("the planner spares more the better the probabilities are, and moves nothing for a base rate below the threshold", () => {
  const cases = Array.from({ length: 20 }, (_, i) => ({ degraded: i === 0 }));
  const off = planEffect(
    cases.map((c) => ({ ...c, probability: 0.5 })),
    0,
  );
  assert.deepEqual(off, { met: 0.5 / 20, moved: 0 });
  assert.deepEqual(
    planEffect(
      cases.map((c) => ({ ...c, probability: 0.05 })),
      500_000,
    ),
    off,
  );
  const sharp = planEffect(
    cases.map((c) => ({ ...c, probability: c.degraded ? 1 : 0 })),
    500_000,
  );
  assert.ok(Math.abs(sharp.met - 0.25 / 20) < 1e-9 && Math.abs(sharp.moved - 0.25 / 20) < 1e-9);
});

test("skill is against the base rate on the same cases, and intervals draw changes as wholes", () => {
  const judged = Array.from({ length: 40 }, (_, i) => ({ probability: i < 20 ? 0.9 : 0.1, happened: i < 20 }));
  const base = judged.map(({ happened }) => ({ probability: 0.5, happened }));
  const row = scoreRow(
    "m",
    judged,
    base,
    judged.map((_, i) => String(i % 4)),
  );
  assert.ok(Math.abs(row.skill - (1 - 0.01 / 0.25)) < 1e-12);
  assert.ok(row.skillInterval[0] <= row.skill + 1e-12 && row.skillInterval[1] >= row.skill - 1e-12);
});

test("an incident's facts come from its first event and its outcome from the last; its own outcome is not in its rates", () => {
  const head =
    "number,made_sla,opened_at,location,category,subcategory,u_symptom,impact,urgency,priority,assignment_group,opened_by";
  const csv = [
    head,
    "I1,TRUE,29-02-2016 01:16,L1,C1,?,?,2 - Medium,2 - Medium,3 - Moderate,G1,O1",
    "I1,FALSE,29-02-2016 01:16,L9,C9,S,Y,1 - High,1 - High,1 - Critical,G9,O9",
  ].join("\n");
  const [one] = readIncidents(csv);
  assert.deepEqual([one!.priority, one!.missed, one!.words.length], [3, true, 4]);
  assert.equal(one!.openedMs, Date.UTC(2016, 1, 29, 1, 16));
  const rates = new Map(one!.words.map((word) => [word, { count: 1, missed: 1 }]));
  const own = incidentRow(one!, rates, 0.25, true);
  assert.ok(Math.abs(own[5]! - Math.log(0.25 / 0.75)) < 1e-6, "alone in its category it has the base rate");
  assert.ok(incidentRow(one!, rates, 0.25, false)[5]! > own[5]!);
});
