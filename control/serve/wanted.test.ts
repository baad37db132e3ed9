import assert from "node:assert/strict";
import { test } from "node:test";
import { planned, policies, target } from "../change/change.fixture.ts";
import type { Restraint } from "../change/restrain.ts";
import type { PlannedService } from "../plan/plan.ts";
import { wantedOf } from "./wanted.ts";

const even = (name: string) => planned(name, [target(`${name}-a`, 500_000), target(`${name}-b`, 500_000)]);
const moved = (name: string, more: Partial<PlannedService> = {}) =>
  planned(
    name,
    [target(`${name}-a`, 600_000, { basePpm: 500_000 }), target(`${name}-b`, 400_000, { basePpm: 500_000 })],
    more,
  );
const drained = (name: string) => {
  const causes = [{ kind: "window" as const, ref: "CHG1", effectPpm: -100_000, text: "CHG1" }];
  const leaving = target(`${name}-b`, 400_000, { basePpm: 500_000, draining: true, causes });
  return planned(name, [target(`${name}-a`, 600_000, { basePpm: 500_000 }), leaving]);
};
const byName = (services: PlannedService[]) => new Map(services.map((service) => [service.name, service]));
const movedNames = (services: PlannedService[] | null) =>
  services?.filter(({ targets }) => targets[0]!.weightPpm !== 500_000).map(({ name }) => name) ?? null;

function wanted(plans: PlannedService[], more: Partial<Parameters<typeof wantedOf>[0]> = {}) {
  const names = plans.map(({ name }) => name);
  return wantedOf({
    planned: byName(plans),
    inForce: byName(names.map(even)),
    policies: policies(names.map(even)),
    bounds: { maxStepPpm: null, maxServices: 100, minSharePpm: 0 },
    held: false,
    restraintOf: () => null,
    ...more,
  });
}

test("an emergency goes out alone, also while the planner holds", () => {
  const plans = [moved("x"), moved("y", { emergency: true })];
  for (const held of [false, true]) {
    const { services, emergency } = wanted(plans, { held });
    assert.equal(emergency, true);
    assert.deepEqual(movedNames(services), ["y"]);
  }
  assert.equal(wanted([moved("x")], { held: true }).services, null);
});

test("when more services move than one epoch may carry, those that must leave go first", () => {
  const { services } = wanted([moved("x"), moved("y"), drained("z")], {
    bounds: { maxStepPpm: null, maxServices: 2, minSharePpm: 0 },
  });
  assert.deepEqual(movedNames(services), ["x", "z"]);
});

test("a restrained service stays back and says why; the others go on", () => {
  const freeze: Restraint = { kind: "freeze", ref: "policy:f", text: "frozen by f" };
  const { services, heldBack } = wanted([moved("x"), moved("y"), drained("z")], {
    restraintOf: (name) => (name === "y" ? null : freeze),
  });
  assert.deepEqual(movedNames(services), ["y", "z"]);
  assert.deepEqual(heldBack, [{ service: "x", restraint: freeze }]);
});

test("a plan outside the bounds asks for approval and stays back meanwhile", () => {
  const observed = new Map([["x", { ...even("x"), mode: "observe" as const }]]);
  const { services, needApproval, heldBack } = wanted([moved("x")], { inForce: observed });
  assert.deepEqual(movedNames(services), []);
  assert.equal(needApproval[0]!.service.name, "x");
  assert.deepEqual(
    needApproval[0]!.judgement.verdicts.filter(({ ok }) => !ok).map(({ rule }) => rule),
    ["mode"],
  );
  assert.equal(heldBack[0]!.restraint.kind, "approval");
});

test("the first epoch waits for the end of a freeze, unless a target must be left", () => {
  const freeze: Restraint = { kind: "freeze", ref: "policy:f", text: "frozen by f" };
  const first = { inForce: null, restraintOf: () => freeze };
  assert.equal(wanted([moved("x")], first).services, null);
  assert.deepEqual(movedNames(wanted([moved("x"), drained("z")], first).services), ["z"]);
  assert.deepEqual(movedNames(wanted([moved("x")], { inForce: null }).services), ["x"]);
});
