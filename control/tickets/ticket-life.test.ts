import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Goal, nextStep, type TicketLife, type TicketPolicy } from "./ticket-life.ts";
import type { Decision, TicketPhase, TicketType, TicketView } from "./ticket-system.ts";

const TICKET = { id: "1", number: "CHG0030001", url: "https://example.org/1" };
const OUTCOME = { code: "successful", notes: "baked", startedAtMs: 5, endedAtMs: 9 } as const;
const HOLD: TicketPolicy = { onConflict: "hold" };

function life(over: Partial<TicketLife> = {}): TicketLife {
  return {
    epoch: 12,
    carriedOutAs: null,
    type: "normal",
    author: { kind: "person", name: "alice" },
    goal: { kind: "approve" },
    owed: false,
    draft: {
      type: over.type ?? "normal",
      correlationId: "ballast:demo:12",
      summary: "s",
      description: "d",
      justification: "j",
      backoutPlan: "b",
      cis: [],
      plannedStartMs: 1,
      plannedEndMs: 2,
    },
    opening: false,
    ticket: TICKET,
    conflicts: { state: "checked", found: [] },
    ...over,
  };
}

const view = (phase: TicketPhase, over: Partial<TicketView> = {}): TicketView => ({
  phase,
  approval: "notRequested",
  decisions: [],
  openedBy: ["ballast.integration", "Ballast Integration"],
  ...over,
});

const decision = (by: string, ...names: string[]): Decision => ({
  verdict: "approved",
  by,
  names: [by, ...names],
  atMs: 0,
  comment: "",
});

const approved = (...decisions: Decision[]) => view("scheduled", { approval: "approved", decisions });

describe("an approval counts only when somebody else gave it", () => {
  test("the person who approved in the ticket system becomes the approver, with the evidence", () => {
    assert.deepEqual(nextStep(life(), approved(decision("bob", "Bob B")), HOLD), {
      do: "approve",
      by: "bob",
      evidence: "CHG0030001 approved by bob at 1970-01-01T00:00:00.000Z",
    });
  });

  const notEnough: [string, Decision[]][] = [
    ["nobody that can be named", []],
    ["the author", [decision("alice")]],
    ["the author under another spelling", [decision(" ALICE ")]],
    ["the author under a full name", [decision("u123", "Alice")]],
    ["the account that opened the ticket", [decision("ballast.integration")]],
  ];
  for (const [who, decisions] of notEnough) {
    test(`not ${who}`, () => {
      const step = nextStep(life(), approved(...decisions), HOLD);
      assert.equal(step.do, "wait");
      assert.match(step.do === "wait" ? step.why : "", /somebody other than the author must/);
    });
  }

  test("a second pair of eyes makes up for the author's own", () => {
    const step = nextStep(life(), approved(decision("alice"), decision("bob")), HOLD);
    assert.equal(step.do === "approve" ? step.by : step.do, "bob");
  });

  test("scheduled without an approval is no approval", () => {
    assert.equal(nextStep(life(), view("scheduled", { decisions: [decision("bob")] }), HOLD).do, "wait");
  });

  test("the planner's own plan takes anybody but the account that opened the ticket", () => {
    const planned = life({ author: { kind: "planner", name: "model 7" } });
    assert.equal(nextStep(planned, approved(decision("alice")), HOLD).do, "approve");
    assert.equal(nextStep(planned, approved(decision("ballast.integration")), HOLD).do, "wait");
  });
});

describe("a normal change on its way to approval", () => {
  test("is checked for conflicts before it is submitted", () => {
    assert.deepEqual(nextStep(life({ conflicts: { state: "unknown" } }), view("new"), HOLD), { do: "checkConflicts" });
    assert.deepEqual(nextStep(life(), view("new"), HOLD), { do: "update", change: { phase: "assess" } });
  });

  test("waits with its conflicts, or puts them before the approvers", () => {
    const found = [{ type: "blackout", text: "Blackout quarter end" }];
    const conflicted = life({ conflicts: { state: "checked", found } });
    assert.deepEqual(nextStep(conflicted, view("new"), HOLD), { do: "wait", why: "conflicts: Blackout quarter end" });
    assert.deepEqual(nextStep(conflicted, view("new"), { onConflict: "ask" }), {
      do: "update",
      change: { phase: "assess", note: "Conflicts: Blackout quarter end" },
    });
  });

  test("is refused in Ballast when it is rejected or cancelled there, and not submitted again", () => {
    const decisions: Decision[] = [{ ...decision("bob"), verdict: "rejected", comment: "too large" }];
    const rejected = view("new", { approval: "rejected", decisions });
    const reason = "CHG0030001 was rejected: too large";
    assert.deepEqual(nextStep(life(), rejected, HOLD), { do: "refuse", by: "bob", reason });
    assert.equal(nextStep(life(), view("canceled"), HOLD).do, "refuse");
  });

  test("that ends before it has a ticket needs none, unless one may have been opened", () => {
    const goal: Goal = { kind: "cancel", reason: "refused" };
    assert.equal(nextStep(life({ ticket: null, goal }), null, HOLD).do, "finish");
    assert.equal(nextStep(life({ ticket: null, goal, opening: true }), null, HOLD).do, "open");
  });

  test("is cancelled, or closed as unsuccessful where a review cannot be cancelled", () => {
    const goal: Goal = { kind: "cancel", reason: "refused by bob" };
    for (const phase of ["new", "assess", "authorize", "scheduled", "implement"] as const) {
      const step = nextStep(life({ goal }), view(phase), HOLD);
      assert.deepEqual(step, { do: "update", change: { phase: "canceled", note: "refused by bob" } }, phase);
    }
    const step = nextStep(life({ goal }), view("review"), HOLD);
    assert.equal(step.do === "close" ? step.outcome.code : step.do, "unsuccessful");
  });
});

describe("what is in force", () => {
  const inForce: Goal = { kind: "implement", atMs: 5 };

  test("an emergency asks for its owed approval at once and hands it to change control", () => {
    const emergency = life({ type: "emergency", goal: inForce, owed: true });
    assert.deepEqual(nextStep(emergency, view("new"), HOLD), { do: "update", change: { phase: "authorize" } });
    assert.equal(nextStep(emergency, view("authorize"), HOLD).do, "wait");
    assert.equal(nextStep(emergency, approved(decision("bob")), HOLD).do, "approve");
    assert.equal(nextStep({ ...emergency, owed: false }, approved(decision("bob")), HOLD).do, "update");
  });

  test("an emergency rejected afterwards says so and is not submitted again", () => {
    const step = nextStep(
      life({ type: "emergency", goal: inForce, owed: true }),
      view("new", { approval: "rejected" }),
      HOLD,
    );
    assert.match(step.do === "wait" ? step.why : step.do, /rejected by .* while in force/);
  });

  test("an owed approval is taken before the ticket is closed", () => {
    const goal: Goal = { kind: "close", outcome: OUTCOME };
    const owing = life({ type: "emergency", owed: true, goal });
    const given = view("implement", { approval: "approved", decisions: [decision("bob")] });
    assert.equal(nextStep(owing, given, HOLD).do, "approve");
    assert.equal(nextStep({ ...owing, owed: false }, given, HOLD).do, "close");
  });

  test("what somebody closed by hand is finished", () => {
    assert.equal(nextStep(life({ goal: inForce }), view("closed"), HOLD).do, "finish");
  });
});

/** What the documented ticket system allows, in its own words; written down apart from the code that must keep to it. */
const ALLOWED: Record<TicketType, Partial<Record<TicketPhase, TicketPhase[]>>> = {
  normal: {
    new: ["assess", "canceled"],
    assess: ["canceled"],
    authorize: ["canceled"],
    scheduled: ["implement", "canceled"],
    implement: ["review", "canceled"],
    review: ["closed"],
  },
  standard: {
    new: ["scheduled", "canceled"],
    scheduled: ["implement", "canceled"],
    implement: ["review", "canceled"],
    review: ["closed"],
  },
  emergency: {
    new: ["authorize", "canceled"],
    authorize: ["canceled"],
    scheduled: ["implement", "canceled"],
    implement: ["review", "canceled"],
    review: ["closed"],
  },
};
const PHASES = ["new", "assess", "authorize", "scheduled", "implement", "review", "closed", "canceled"] as const;

const goals = fc.oneof(
  fc.constant<Goal>({ kind: "approve" }),
  fc.constant<Goal>({ kind: "implement", atMs: 5 }),
  fc.constant<Goal>({ kind: "close", outcome: OUTCOME }),
  fc.constant<Goal>({ kind: "cancel", reason: "refused" }),
);
const types = fc.constantFrom<TicketType>("standard", "normal", "emergency");

test("from wherever a ticket is, no step asks for a phase that the ticket system would refuse", () => {
  fc.assert(
    fc.property(types, goals, fc.constantFrom(...PHASES), fc.boolean(), fc.boolean(), (type, goal, phase, ok, owed) => {
      // Phases that a type does not have are never seen.
      fc.pre(phase === "closed" || phase === "canceled" || phase in ALLOWED[type]);
      const approval = ok ? "approved" : "notRequested";
      const seen = view(phase, { approval, decisions: ok ? [decision("bob")] : [] });
      const step = nextStep(life({ type, goal, owed }), seen, HOLD);
      if (step.do === "update")
        assert.ok(ALLOWED[type][phase]?.includes(step.change.phase), `${phase} → ${step.change.phase}`);
      if (step.do === "close") assert.ok(phase === "implement" || phase === "review", phase);
      if (step.do === "open" || step.do === "view") assert.fail("the ticket is known");
    }),
    { numRuns: 1000 },
  );
});

test("every ticket that its approvers approve ends closed, with calls that never repeat themselves", () => {
  fc.assert(
    fc.property(types, fc.array(fc.boolean(), { maxLength: 12 }), (type, restarts) => {
      let mine = life({ type, ticket: null, goal: { kind: "close", outcome: OUTCOME }, owed: type === "emergency" });
      let at: TicketPhase = "new";
      const done: string[] = [];
      for (let i = 0; i < 30; i++) {
        // A restart forgets the view and nothing else.
        const seen = restarts[i] === true || mine.ticket === null ? null : view(at);
        const decided = at === "new" || at === "assess" || at === "authorize" ? [] : [decision("bob")];
        const known =
          seen === null
            ? null
            : { ...seen, approval: decided.length > 0 ? ("approved" as const) : seen.approval, decisions: decided };
        const step = nextStep(mine, known, HOLD);
        if (step.do === "finish") break;
        if (step.do === "view" || step.do === "wait") {
          if (step.do === "wait") at = at === "assess" ? "authorize" : "scheduled";
          continue;
        }
        done.push(step.do === "update" ? step.change.phase : step.do);
        if (step.do === "open") mine = { ...mine, ticket: TICKET };
        if (step.do === "update") at = step.change.phase;
        if (step.do === "approve") mine = { ...mine, owed: false };
        if (step.do === "close") at = "closed";
      }
      assert.equal(at, "closed");
      assert.equal(new Set(done).size, done.length, done.join());
    }),
  );
});
