import assert from "node:assert/strict";
import { test } from "node:test";
import { type RiskCase, riskRows } from "../../control/features/risk/risk-features.ts";
import { RISK_FEATURES, riskFeature } from "../../control/features/risk/schema.ts";
import type { RowBuilder } from "./leak-guard.ts";
import { SPAN } from "./spans.ts";
import { riskDataset } from "./train-risk.ts";
import { makeWorld, truthKey } from "./world/world.ts";

const world = makeWorld({ seed: 5, services: 16, days: 2 * 364, baseRate: 0.08 });
const WIDTH = RISK_FEATURES.length;

/** The real builder with one column replaced. */
function planted(column: string, value: (one: RiskCase) => number): RowBuilder {
  return (cases, history) => {
    const rows = riskRows(cases, history);
    cases.forEach((one, i) => {
      rows[i * WIDTH + riskFeature(column)] = value(one);
    });
    return rows;
  };
}

test("the real features pass the leak guard, and spans follow one another in time", () => {
  const { cases, spans, cutsMs } = riskDataset(world.records, world.targets);
  for (const span of [SPAN.train, SPAN.calibrate, SPAN.test]) {
    const starts = cases.filter((_, i) => spans[i] === span).map(({ facts }) => facts.startMs);
    if (span !== SPAN.train) assert.ok(Math.min(...starts) >= cutsMs[span - 1]!);
    if (span !== SPAN.test) assert.ok(Math.max(...starts) < cutsMs[span]);
  }
  for (const [i, { facts }] of cases.entries()) {
    // What was learnt from was known at the cut: the day in which an incident may still come lies before it.
    if (spans[i] === SPAN.train) assert.ok(facts.endMs + 86_400_000 <= cutsMs[0]);
  }
});

test("a column that looks at incidents after the start is refused by name", () => {
  const peeking: RowBuilder = (cases, history, read) => {
    const ever = ({ facts }: RiskCase): number => history.incidents(facts.cis, 0, Number.POSITIVE_INFINITY);
    return planted("ci_incidents", ever)(cases, history, read);
  };
  assert.throws(
    () => riskDataset(world.records, world.targets, peeking),
    /TRAIN_LEAK: ci_incidents of CHG\d+ knows what came later/,
  );
});

test("a column made from the actual end of the work is refused", () => {
  const changes = world.records.changes.map((change) => ({
    ...change,
    workStartMs: change.plannedStartMs,
    workEndMs: change.plannedEndMs! + 3_600_000,
  }));
  const records = { ...world.records, changes };
  const build: RowBuilder = (cases, history, read) => {
    const ends = new Map(read.changes.map((change) => [change.sysId, change.workEndMs]));
    return planted("planned_hours", ({ facts }) => (ends.get(facts.sysId) ?? facts.endMs) - facts.startMs)(
      cases,
      history,
      read,
    );
  };
  assert.throws(() => riskDataset(records, world.targets, build), /TRAIN_LEAK: planned_hours/);
});

test("a column that is the close code in disguise is refused although it needs no later record", () => {
  const outcome = new Map<string, boolean>();
  for (const { facts, degraded, targetCi } of riskDataset(world.records, world.targets).cases) {
    outcome.set(truthKey(facts.sysId, targetCi), degraded);
  }
  const closeCode = planted("layer", ({ facts, targetCi }) => Number(outcome.get(truthKey(facts.sysId, targetCi))));
  assert.throws(
    () => riskDataset(world.records, world.targets, closeCode),
    /TRAIN_LEAK: layer alone tells the outcome/,
  );
});

test("too little history is refused before anything is trained", () => {
  const records = { ...world.records, changes: world.records.changes.slice(0, 40) };
  assert.throws(
    () => riskDataset(records, world.targets),
    /TRAIN_HISTORY_TOO_SHORT: the training span has \d+ degraded/,
  );
  assert.throws(
    () => riskDataset({ ...records, changes: [] }, world.targets),
    /TRAIN_HISTORY_TOO_SHORT: no executed change/,
  );
});

test("the world meets its base rate, degrades as often as its own probabilities say, and is the same for one seed", () => {
  const { cases } = riskDataset(world.records, world.targets);
  const expected = cases.reduce((sum, c) => sum + world.truth.get(truthKey(c.facts.sysId, c.targetCi))!, 0);
  assert.ok(Math.abs(expected / cases.length - 0.08) < 0.001);
  const seen = cases.filter(({ degraded }) => degraded).length;
  // Pairs of one change end alike, so the spread is wider than a coin's: four times its standard deviation.
  assert.ok(Math.abs(seen - expected) < 4 * 2 * Math.sqrt(expected), `${seen} of ${expected}`);
  const again = makeWorld({ seed: 5, services: 16, days: 2 * 364, baseRate: 0.08 });
  assert.deepEqual(again.records.incidents.at(-1), world.records.incidents.at(-1));
  assert.notDeepEqual(makeWorld({ seed: 6, services: 16, days: 364 }).records.changes[0], world.records.changes[0]);
});
