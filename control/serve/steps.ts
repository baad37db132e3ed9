import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { FleetPush } from "../xds/push.ts";

/**
 * The life of one epoch, step by step, as the world outside the process sees it:
 *
 * - draft: about to be reserved.              - validated: reserved, and nothing written of it yet.
 * - approved: about to be sent to the fleet.  - staged: every voter has proved it; not committed.
 * - committed: the store has it, no Envoy was told.  - activated: the fleet uses it; that is not recorded.
 * - baked: the move to baked is recorded.
 */
export const STEPS = ["draft", "validated", "approved", "staged", "committed", "activated", "baked"] as const;
export type Step = (typeof STEPS)[number];

/** Awaited at each step; `epoch` is null where there is none yet. */
export type StepHook = (step: Step, epoch: number | null) => Promise<void>;

/** The same store, which calls the hook at each step: fault tests stop a server at exactly that place. Without a hook, itself. */
export function stepStore<Store extends CheckpointStore>(store: Store, hook: StepHook | undefined): Store {
  if (hook === undefined) return store;
  const stepping: Partial<CheckpointStore> = {
    async reserve(...args) {
      await hook("draft", null);
      const epoch = await store.reserve(...args);
      await hook("validated", epoch);
      return epoch;
    },
    async commit(...args) {
      const head = await store.commit(...args);
      await hook("committed", head.epoch);
      return head;
    },
    async append(...args) {
      const entry = await store.append(...args);
      const { body } = entry;
      if (body.kind === "move" && body.move.to === "baked") await hook("baked", body.epoch);
      return entry;
    },
  };
  return over(store, stepping);
}

/** The same for the fleet. */
export function stepFleet<Push extends Pick<FleetPush, "stage" | "activate">>(
  fleet: Push,
  hook: StepHook | undefined,
): Push {
  if (hook === undefined) return fleet;
  const pushing: Pick<FleetPush, "stage" | "activate"> = {
    async stage(...args) {
      await hook("approved", args[1].epoch);
      const outcome = await fleet.stage(...args);
      if (outcome.ok) await hook("staged", args[1].epoch);
      return outcome;
    },
    async activate(...args) {
      const outcome = await fleet.activate(...args);
      await hook("activated", args[0].epoch);
      return outcome;
    },
  };
  return over(fleet, pushing);
}

/** The object with some of its methods replaced; the others are called on the object itself, whose private state they need. */
function over<T extends object>(object: T, methods: object): T {
  return new Proxy(object, {
    get(target, name) {
      if (Object.hasOwn(methods, name)) return Reflect.get(methods, name) as unknown;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const POLL_MS = 20;

/**
 * The hook that BALLAST_PAUSE_FILE asks for, or undefined: while the file holds the name of a step, an epoch that comes there is
 * told as `paused` and goes no further until the file says something else. Everything else in the process goes on. For fault
 * tests, which kill, pause and cut at exactly that place.
 */
export function pauseHook(
  file: string | undefined,
  tell: (event: { event: "paused"; step: Step; epoch: number | null }) => void,
): StepHook | undefined {
  if (file === undefined || file === "") return undefined;
  const asks = async (step: Step) => (await readFile(file, "utf8").catch(() => "")).trim() === step;
  return async (step, epoch) => {
    if (!(await asks(step))) return;
    tell({ event: "paused", step, epoch });
    while (await asks(step)) await sleep(POLL_MS);
  };
}
