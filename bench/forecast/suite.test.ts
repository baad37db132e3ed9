import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { dataFolder } from "./gift-eval.ts";
import { type SuiteScore, summarise } from "./suite.ts";
import { loadSuite } from "./suite-data.ts";

function scored(task: string, answer: [number, number], holt: [number, number], naive: [number, number]): SuiteScore {
  const of = ([mase, wql]: [number, number]) => ({ mase, wql });
  return {
    task,
    horizonMinutes: 15,
    led: "model 100 %",
    scores: new Map([
      ["seasonal naive", of(naive)],
      ["Holt damped", of(holt)],
      ["combination", of(answer)],
      ["model", of(answer)],
      ["answer", of(answer)],
    ]),
  };
}

describe("the summary of the suite", () => {
  test("holds the answer against every baseline in the mean, on both scores", () => {
    const better = scored("a", [0.5, 0.1], [0.6, 0.2], [1, 0.3]);
    assert.equal(summarise([better]).beatsBaselines, true);
    assert.equal(
      summarise([better, scored("b", [0.9, 0.1], [0.7, 0.2], [1, 0.3])]).beatsBaselines,
      false,
      "MASE 0.7 against 0.65",
    );
    assert.equal(
      summarise([better, scored("b", [0.5, 0.4], [0.7, 0.2], [1, 0.3])]).beatsBaselines,
      false,
      "wQL 0.25 against 0.2",
    );
  });

  test("names the series on which it is worst against seasonal naive", () => {
    const summary = summarise([
      scored("a", [0.5, 0.1], [0.6, 0.2], [1, 0.3]),
      scored("b", [1.1, 0.1], [2, 0.2], [1, 0.3]),
    ]);
    assert.equal(summary.worstTask, "b 15 min");
    assert.ok(Math.abs(summary.worstRatio - 1.1) < 1e-12);
    assert.equal(summary.noneMuchWorse, false);
    assert.match(summary.table, /Holt damped/);
  });
});

test("the suite has each real series at both horizons, its clock repaired", { skip: skipped() }, () => {
  const tasks = loadSuite();
  assert.equal(tasks.length, 24);
  for (const { name, values, horizon, windows, season } of tasks) {
    const missing = values.reduce((sum, value) => sum + (Number.isNaN(value) ? 1 : 0), 0);
    assert.ok(missing < values.length / 100, `${name}: ${missing} gaps`);
    assert.ok(windows >= 3 && windows * horizon < values.length / 5 && season < values.length / 10, name);
  }
  const adservice = tasks.find(({ name }) => name === "nezha/adservice")!;
  assert.equal(adservice.values.length, 1_209, "the minutes of its Time column, not of its damaged TimeStamp");
});

function skipped(): string | false {
  if (existsSync(`${dataFolder()}/nezha`) || (process.env.CI ?? "") !== "") return false;
  return `${dataFolder()}/nezha is absent`;
}
