import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { STEPS, type Step } from "../../control/serve/steps.ts";
import { until } from "../e2e/fixture/wait.ts";
import type { FleetStand } from "./fleet-stand.ts";
import type { ServerProcess } from "./server-process.ts";

/**
 * - server: SIGKILL of the control server that leads.   - sleep: it is paused past its lease, and wakes up when another leads.
 * - nats: SIGKILL of the NATS server that leads the stream.   - envoy: SIGKILL of an Envoy.
 * - vm: the filter's VM of one worker traps.
 */
export const FAULTS = ["server", "sleep", "nats", "envoy", "vm"] as const;
export type Fault = (typeof FAULTS)[number];

export interface Cell {
  fault: Fault;
  step: Step;
}

/** Every fault at every step of an epoch's life. */
export const CELLS: readonly Cell[] = FAULTS.flatMap((fault) => STEPS.map((step) => ({ fault, step })));

/** A generator of numbers from 0 (included) to 1. mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The cells in an order that the seed decides; the first five have each fault once, at different steps. */
export function shuffled(random: () => number): Cell[] {
  const order = <T>(items: readonly T[]): T[] =>
    items
      .map((item) => ({ item, key: random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
  const steps = order(STEPS);
  const first = order(FAULTS).map((fault, i) => ({ fault, step: steps[i]! }));
  const rest = order(CELLS).filter(
    (cell) => !first.some(({ fault, step }) => fault === cell.fault && step === cell.step),
  );
  return [...first, ...rest];
}

export interface Survived {
  /** What became of the epoch that was held at the step: its number when it came into force after all, else why not. */
  outcome: number | string;
  requests: number;
  steered: number;
  committed: number;
}

/** Longest time within a step, so that a fault does not always come at its first instant. */
const WITHIN_STEP_MS = 60;

/**
 * Holds an epoch at the step, lets the fault happen, and asserts all that must hold: another epoch can be made and every Envoy
 * steers by it, no request was lost, none was steered by anything but one committed epoch, one history, a chain that verifies.
 */
export async function survive(stand: FleetStand, { fault, step }: Cell, random: () => number): Promise<Survived> {
  const leader = await stand.leader();
  // The epoch before has baked, so that nothing but what we ask for is on its way.
  await stand.flip();
  const outcome = await strike(stand, leader, { fault, step }, random).finally(() => leader.release());
  await stand.flip();
  return { outcome, ...(await stand.check()) };
}

/** Lets the fault happen to a server that holds an epoch at the step; returns what became of that epoch. */
async function strike(
  stand: FleetStand,
  leader: ServerProcess,
  { fault, step }: Cell,
  random: () => number,
): Promise<number | string> {
  const held = leader.paused.length;
  await leader.hold(step);
  const asked = stand.flipOnce(leader);
  await until(`an epoch is ${step}`, () => leader.paused.length > held && leader.paused[held]!.step === step);
  await sleep(random() * WITHIN_STEP_MS);
  switch (fault) {
    case "server": {
      await leader.kill();
      await leader.release();
      const outcome = await asked;
      assert.notEqual((await stand.leader()).name, leader.name);
      await stand.flip();
      await leader.start();
      await until("it waits", async () => (await leader.role()) === "standby");
      return outcome;
    }
    case "sleep": {
      leader.signal("SIGSTOP");
      assert.notEqual((await stand.leader()).name, leader.name);
      const epoch = await stand.flip();
      await leader.release();
      leader.signal("SIGCONT");
      const outcome = await asked;
      await until("the old leader waits", async () => (await leader.role()) === "standby");
      const { epoch: head } = await (await stand.store()).head();
      assert.ok(head >= epoch, `the head went back from ${epoch} to ${head}`);
      return outcome;
    }
    case "nats": {
      const name = await stand.natsLeader();
      await stand.cluster!.kill(name);
      await leader.release();
      const outcome = await asked;
      await stand.flip();
      stand.cluster!.restart(name);
      await stand.cluster!.ready();
      return outcome;
    }
    case "envoy": {
      const restart = await stand.killEnvoy(Math.floor(random() * stand.edges.length));
      await leader.release();
      const outcome = await asked;
      await restart();
      return outcome;
    }
    case "vm": {
      await stand.trap(Math.floor(random() * stand.edges.length));
      await leader.release();
      const outcome = await asked;
      return outcome;
    }
  }
}
