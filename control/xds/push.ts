import type { TableSet } from "../table/table.ts";
import type { Cohort } from "./cohort.ts";
import type { Fleet, FleetMemory } from "./fleet.ts";
import type { NodeStatus } from "./nodes.ts";
import type { ActivationMode } from "./resources.ts";
import type { Quorum, RoundOutcome } from "./round.ts";

/** Below this, `deadlineMs` would be shorter than one round trip; above it, a change would hang for half a day. */
const MAX_DEADLINE_MS = 600_000;

export interface StageOptions {
  /** Reserved in the store before; above every earlier one. */
  epoch: number;
  term: number;
  /** Time for the fleet to prove the set, 1 … 600,000 ms. */
  deadlineMs: number;
  quorum: Quorum;
  /** The part of the fleet that gets the set, and what the rest of it gets under the same epoch. Default: all get the set. */
  cohort?: Cohort;
}

/** A node as status shows it. */
export interface NodeView extends NodeStatus {
  /** It gets the set of the epoch in force, and not what the rest of the fleet keeps while a cohort goes ahead. */
  ahead: boolean;
  /** It uses the version of the epoch in force that is meant for it. */
  current: boolean;
}

export interface ActivateOptions {
  epoch: number;
  mode: ActivationMode;
  deadlineMs: number;
}

/**
 * How the rest of the control server moves a fleet: `stage`, commit in the store, `activate`. One set is in flight at a
 * time; `abort` makes room for an emergency.
 *
 * Both promises resolve with what each node answered and when; a refusal by the fleet is an outcome, not an error. They
 * reject with PUSH_IN_FLIGHT, XDS_SILENT, EPOCH_BEHIND_FLEET, SET_TOO_LARGE or STORE_CONFLICT when the round cannot begin.
 */
export class FleetPush {
  readonly #fleet: Fleet<unknown>;
  #waiting: ((outcome: RoundOutcome) => void) | null = null;
  #deadline: NodeJS.Timeout | null = null;

  constructor(fleet: Fleet<unknown>) {
    this.#fleet = fleet;
  }

  /** Sends the set to every node that has a vote and waits for proofs. Not `ok` → the set is withdrawn, nothing changed. */
  stage(set: TableSet, options: StageOptions): Promise<RoundOutcome> {
    const { epoch, term, cohort, deadlineMs } = options;
    const release = { epoch, term, set, ...(cohort === undefined ? {} : { cohort }) };
    return this.#begin(deadlineMs, () => this.#fleet.stage(release, options));
  }

  /**
   * Puts the staged set in force, for every node and for those that join later, and waits until all that proved it say
   * that they use it. Call it after the commit: the epoch is in force however the round ends.
   */
  activate(options: ActivateOptions): Promise<RoundOutcome> {
    return this.#begin(options.deadlineMs, () => this.#fleet.activate(options));
  }

  /** Withdraws the staged set, whether proved or not; a waiting `stage` resolves as aborted. */
  abort(reason: string): void {
    this.#fleet.abort(reason);
  }

  /** Puts in force what the store says, at the start or after a silence. Never goes back to a lower epoch. */
  restore(memory: FleetMemory): void {
    this.#fleet.restore(memory);
  }

  /** The store has reserved up to `epoch` (by another server, or by an operator who adopted the fleet's epoch). */
  raiseReserved(epoch: number): void {
    this.#fleet.raiseReserved(epoch);
  }

  /** Highest epoch that any node has said it holds: what an operator would adopt. */
  highestHeld(): number {
    return this.#fleet.highestHeld();
  }

  /** For when the head of the store cannot be confirmed: closes all streams and refuses new ones until `resume`. */
  silence(reason: string): void {
    this.#fleet.silence(reason);
  }

  resume(): void {
    this.#fleet.resume();
  }

  /** All nodes that are connected or were not long ago. */
  nodes(): NodeView[] {
    return [...this.#fleet.nodes.values()].map((node) => {
      const { stream: _stream, key: _key, position: _position, ...status } = node;
      const wanted = this.#fleet.versionFor(node);
      return { ...status, ahead: this.#fleet.isAhead(node), current: wanted !== "" && node.activeVersion === wanted };
    });
  }

  /** Ids of the nodes that are connected now, each once. */
  connectedIds(): string[] {
    const ids = new Set<string>();
    for (const node of this.#fleet.nodes.values()) if (node.stream !== null) ids.add(node.id);
    return [...ids];
  }

  status(): {
    state: "serving" | "silent" | "behind";
    reason: string;
    committedVersion: string;
    stagedVersion: string;
  } {
    const { behind, silent, committedVersion, stagedVersion } = this.#fleet;
    const state = behind !== null ? "behind" : silent !== null ? "silent" : "serving";
    return { state, reason: behind?.message ?? silent ?? "", committedVersion, stagedVersion };
  }

  /** For the server: the fleet reported the end of a round. */
  roundEnded(outcome: RoundOutcome): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
    const resolve = this.#waiting;
    this.#waiting = null;
    resolve?.(outcome);
  }

  #begin(deadlineMs: number, start: () => void): Promise<RoundOutcome> {
    if (!(deadlineMs >= 1 && deadlineMs <= MAX_DEADLINE_MS)) throw new Error(`deadlineMs is ${deadlineMs}`);
    return new Promise<RoundOutcome>((resolve, reject) => {
      const waiting = this.#waiting;
      // Before start(): a round without voters ends at once.
      this.#waiting = resolve;
      try {
        start();
      } catch (error) {
        this.#waiting = waiting;
        reject(error);
        return;
      }
      this.#arm();
    });
  }

  #arm(): void {
    const left = this.#fleet.deadlineInMs;
    if (left === null) return;
    this.#deadline = setTimeout(() => {
      this.#fleet.expire();
      // Timers may fire a little early by the monotonic clock.
      if (this.#fleet.deadlineInMs !== null) this.#arm();
    }, Math.ceil(left));
  }
}
