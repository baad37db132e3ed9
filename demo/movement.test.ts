import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Movement } from "./movement.ts";

/** Two sessions on slots 0 and 1. */
function watch(): Movement {
  const movement = new Movement({ slotOf: [0, 1], graceMs: 250 });
  movement.activate({ epoch: 1, atMs: 0, owners: ["a", "b"], necessity: 1 });
  return movement;
}

function answer(session: number, target: string, sentMs: number): Parameters<Movement["observe"]>[0] {
  return { session, target, steered: true, sentMs, answeredMs: sentMs + 20 };
}

test("a session that stays is not counted", () => {
  const movement = watch();
  for (let i = 1; i < 10; i++) movement.observe(answer(0, "a", i * 1000));
  assert.deepEqual(movement.moves, { sessionsMoved: 0, sessionsMinMoved: 0, slotsMoved: 0, slotsMinMoved: 0 });
});

test("a session that follows its slot has moved once, by necessity", () => {
  const movement = watch();
  movement.observe(answer(0, "a", 1000));
  movement.activate({ epoch: 2, atMs: 2000, owners: ["b", "b"], necessity: 1 });
  movement.observe(answer(0, "b", 3000));
  movement.observe(answer(0, "b", 4000));
  assert.deepEqual(movement.moves, { sessionsMoved: 1, sessionsMinMoved: 1, slotsMoved: 1, slotsMinMoved: 1 });
});

test("a session that moves although its slot stays has moved in vain", () => {
  const movement = watch();
  movement.observe(answer(0, "a", 1000));
  movement.observe(answer(0, "b", 2000));
  assert.equal(movement.moves.sessionsMoved, 1);
  assert.equal(movement.moves.sessionsMinMoved, 0);
});

test("several epochs between two requests count as one change, or as none when the slot came home", () => {
  const movement = watch();
  movement.observe(answer(0, "a", 1000));
  movement.observe(answer(1, "b", 1000));
  movement.activate({ epoch: 2, atMs: 2000, owners: ["b", "c"], necessity: 1 });
  movement.activate({ epoch: 3, atMs: 3000, owners: ["a", "a"], necessity: 1 });
  movement.observe(answer(0, "a", 4000));
  movement.observe(answer(1, "a", 4000));
  assert.equal(movement.moves.sessionsMoved, 1);
  assert.equal(movement.moves.sessionsMinMoved, 1);
});

test("a table that moves slots in vain makes only its necessary share count", () => {
  const movement = watch();
  movement.observe(answer(0, "a", 1000));
  movement.activate({ epoch: 2, atMs: 2000, owners: ["b", "b"], necessity: 0.5 });
  movement.observe(answer(0, "b", 3000));
  assert.equal(movement.moves.sessionsMinMoved, 0.5);
});

test("close to an activation either table explains an answer, and the change still counts once", () => {
  for (const early of ["a", "b"]) {
    const movement = watch();
    movement.observe(answer(0, "a", 1000));
    movement.activate({ epoch: 2, atMs: 2000, owners: ["b", "b"], necessity: 1 });
    movement.observe(answer(0, early, 2010));
    movement.observe(answer(0, "b", 3000));
    assert.equal(movement.moves.sessionsMoved, 1);
    assert.equal(movement.moves.sessionsMinMoved, 1);
  }
});

test("answers before the first steered one say nothing of a session", () => {
  const movement = watch();
  movement.observe({ ...answer(0, "b", 500), steered: false });
  movement.observe(answer(0, "a", 1000));
  assert.equal(movement.moves.sessionsMoved, 0);
});

test("sessions that always follow their slot have moved exactly as often as necessary, however epochs and requests fall", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("epoch" as const),
      owners: fc.tuple(fc.constantFrom("a", "b"), fc.constantFrom("a", "b")),
    }),
    fc.record({ kind: fc.constant("request" as const), session: fc.integer({ min: 0, max: 1 }), lag: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const movement = watch();
      let owners: readonly string[] = ["a", "b"];
      let before = owners;
      let changedMs = 0;
      let nowMs = 1000;
      for (const [i, s] of steps.entries()) {
        nowMs += 300;
        if (s.kind === "epoch") {
          before = owners;
          owners = s.owners;
          changedMs = nowMs;
          movement.activate({ epoch: i + 2, atMs: nowMs, owners, necessity: 1 });
        } else {
          // A worker that is 100 ms late with the epoch answers by the table before.
          const late = s.lag && changedMs > 0 && nowMs - changedMs <= 300;
          const sentMs = late ? changedMs + 100 : nowMs;
          movement.observe({ ...answer(s.session, (late ? before : owners)[s.session]!, sentMs) });
        }
      }
      assert.equal(movement.moves.sessionsMinMoved, movement.moves.sessionsMoved);
    }),
  );
});
