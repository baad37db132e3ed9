import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../demo/random.ts";
import { RiskBoard, type RiskForecast } from "./risk-board.ts";

const HOUR_MS = 3_600_000;
const RULES = { minCases: 100, margin: 0.01 };

function forecast(i: number, more: Partial<RiskForecast> = {}): RiskForecast {
  return {
    change: `chg-${i}`,
    target: "pay-a",
    startMs: (i + 1) * HOUR_MS,
    endMs: (i + 2) * HOUR_MS,
    active: "aaa",
    answered: 0.06,
    candidate: "ccc",
    shadow: 0.06,
    rule: 0.06,
    baseRate: 0.06,
    ...more,
  };
}

/**
 * A world where a change's true risk is 1 % or 30 %: `count` changes of two targets each, which degrade together. `answered` and `shadow` see the
 * true risk as far as `knows` says, the rest is the mean.
 */
function world(count: number, knows: { active: number; candidate: number }, seed = 5, scale = 1): RiskBoard {
  const random = seededRandom(seed);
  const board = new RiskBoard();
  for (let i = 0; i < count; i++) {
    const truth = random() < 0.18 ? 0.3 : 0.01;
    const say = (part: number) => part * truth + (1 - part) * 0.06;
    const degraded = random() < truth * scale;
    const said = { answered: say(knows.active), shadow: say(knows.candidate) };
    const two = ["pay-a", "pay-b"].map((target) => forecast(i, { target, ...said }));
    board.note(two, 0);
    board.settle(() => ({ is: degraded ? "degraded" : "kept", unsuccessful: degraded }), Number.MAX_SAFE_INTEGER / 2);
  }
  return board;
}

describe("a board of risks", () => {
  test("scores what was said last before the start, and never what was said after it", () => {
    const board = new RiskBoard();
    board.note([forecast(0, { answered: 0.5, shadow: 0.9 })], 0);
    board.note([forecast(0, { answered: 0.2, shadow: 0.8 })], HOUR_MS - 1);
    board.note([forecast(0, { answered: 0, shadow: 1 })], HOUR_MS);
    assert.equal(
      board.settle(() => ({ is: "waiting" }), 3 * HOUR_MS),
      0,
    );
    assert.equal(board.open, 1);
    assert.equal(
      board.settle(() => ({ is: "degraded", unsuccessful: false }), 3 * HOUR_MS),
      1,
    );
    const { active, candidate, cases, degraded } = board.comparison("aaa", "ccc", RULES);
    assert.deepEqual([cases, degraded], [1, 1]);
    assert.ok(Math.abs(active.brier - 0.64) < 1e-9 && Math.abs(candidate.brier - 0.04) < 1e-9);
  });

  test("a change that was cancelled, or whose end nobody wrote down, is not scored", () => {
    const board = new RiskBoard();
    board.note([forecast(0), forecast(1)], 0);
    board.settle(({ change }) => ({ is: change === "chg-0" ? "void" : "waiting" }), 24 * HOUR_MS);
    assert.equal(board.open, 1);
    board.settle(() => ({ is: "waiting" }), 90 * 24 * HOUR_MS);
    assert.equal(board.open, 0);
    assert.equal(board.comparison("aaa", "ccc", RULES).cases, 0);
  });

  test("a candidate that knows more may be proposed, one that knows less or as much may not", () => {
    const better = world(380, { active: 0, candidate: 1 }).comparison("aaa", "ccc", RULES);
    assert.deepEqual(better.missing, []);
    assert.ok(better.candidate.brier < better.baseRate.brier && better.candidate.prAuc > better.active.prAuc);
    assert.ok(better.unsuccessful > 0 && better.unsuccessful <= better.degraded);
    const worse = world(380, { active: 1, candidate: 0 }).comparison("aaa", "ccc", RULES);
    assert.match(worse.missing.join(), /is not 1 % below/);
    const same = world(380, { active: 1, candidate: 1 }).comparison("aaa", "ccc", RULES);
    assert.match(same.missing.join(), /is not 1 % below/);
  });

  test("a lead that may be chance, or too few changes, is not enough", () => {
    const board = new RiskBoard();
    for (let i = 0; i < 120; i++) board.note([forecast(i, i === 0 ? { shadow: 0.9 } : { shadow: 0.05 })], 0);
    board.settle(({ change }) => ({ is: change === "chg-0" ? "degraded" : "kept", unsuccessful: false }), 1e12);
    assert.match(board.comparison("aaa", "ccc", { minCases: 100, margin: 0 }).missing.join(), /may be chance/);
    assert.match(board.comparison("aaa", "ccc", { minCases: 200, margin: 0 }).missing.join(), /120 .* 200 are needed/);
    assert.equal(board.comparison("other", "ccc", RULES).cases, 0, "of another model nothing is known");
  });

  test("a model that means what it says is steady; one whose world became three times as bad has drifted", () => {
    for (const seed of [1, 2, 3, 4]) {
      const { verdict } = world(200, { active: 1, candidate: 0 }, seed).drift("aaa");
      assert.ok(verdict === "steady" || verdict === "warn", `${seed}: ${verdict}`);
      const drifted = world(200, { active: 1, candidate: 0 }, seed, 3).drift("aaa");
      assert.equal(drifted.verdict, "drifted", `${seed}: ${JSON.stringify(drifted)}`);
      assert.match(drifted.text!, /targets degraded where .* were expected of 400/);
    }
    assert.equal(world(20, { active: 1, candidate: 0 }).drift("aaa").verdict, "warming");
    assert.equal(world(200, { active: 1, candidate: 0 }).drift(null).verdict, "off");
  });

  test("a board that was written down goes on, one that is damaged begins anew, and both stay bounded", () => {
    const board = world(600, { active: 0, candidate: 1 });
    board.note(
      Array.from({ length: 2_000 }, (_, i) => forecast(i, { target: "t".repeat(30) })),
      0,
    );
    const text = JSON.stringify(board.state());
    assert.ok(text.length < 524_288, `${text.length}`);
    const again = RiskBoard.restore(JSON.parse(text));
    assert.deepEqual(again.comparison("aaa", "ccc", RULES), board.comparison("aaa", "ccc", RULES));
    assert.equal(again.open, 800);
    assert.equal(RiskBoard.restore({ layout: 1, open: [{}], scored: [] }).open, 0);
    assert.equal(RiskBoard.restore(null).open, 0);
  });
});
