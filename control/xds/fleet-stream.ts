import type { BallastError } from "../../common/errors.ts";
import type { TableSet } from "../table/table.ts";
import type { Release } from "./encoded-release.ts";
import type { NodeEntry, NodeIdentity } from "./nodes.ts";
import type { ActivationMode, EncodedResponse, ResourceKind } from "./resources.ts";
import type { RoundOutcome } from "./round.ts";
import type { Subscription } from "./subscription.ts";

/** What the store knows when a server starts (or takes over). */
export interface FleetMemory {
  /** Highest epoch ever reserved. */
  reservedEpoch: number;
  /** The epoch in force, or null before the first. */
  committed: (Release & { mode: ActivationMode }) | null;
  /** Earlier sets, newest first, whose tables nodes may still ask for. */
  kept?: readonly TableSet[];
  /** Nodes that failed to activate the epoch in force. */
  quarantined?: readonly (NodeIdentity & { reason: string })[];
}

/** One open stream. The fleet keeps the protocol's state in it; the server keeps the socket behind `handle`. */
export interface FleetStream<Handle> {
  readonly handle: Handle;
  readonly subscriptions: Record<ResourceKind, Subscription>;
  node: FleetNode<Handle> | null;
  /** Digests asked for (or offered, see #offer) and not yet sent, oldest first; bounded by maxNames. Never changed in place. */
  wanted: readonly bigint[];
}

export type FleetNode<Handle> = NodeEntry<FleetStream<Handle>>;

/** What the fleet asks of its surroundings. None of these may call back into the fleet before they return. */
export interface FleetEffects<Handle> {
  /** `next()` may have something new for this stream. */
  wake(stream: FleetStream<Handle>): void;
  /** The stream was replaced by a newer one of the same node, or may not go on; close it. */
  close(stream: FleetStream<Handle>, code: "aborted" | "unavailable", reason: string): void;
  roundEnded(outcome: RoundOutcome): void;
  /** EPOCH_BEHIND_FLEET was found: nothing is pushed any more until `raiseReserved`. */
  behind(error: BallastError, node: NodeIdentity, epoch: number): void;
  warn(stream: FleetStream<Handle>, text: string): void;
  /** The node failed to activate the epoch in force and is told to pass requests through. */
  quarantined(node: NodeIdentity, epoch: number, reason: string): void;
}

export function subscribes({ subscriptions }: FleetStream<unknown>, kind: ResourceKind, fleet: string): boolean {
  return subscriptions[kind].names.has(fleet);
}

/** The response, if the stream wants the type and neither holds nor was sent anything as new. */
export function newerThanHeld(
  stream: FleetStream<unknown>,
  response: EncodedResponse | null,
  fleet: string,
): EncodedResponse | null {
  if (response === null || !subscribes(stream, response.kind, fleet)) return null;
  return response.epoch > stream.subscriptions[response.kind].newestEpoch ? response : null;
}
