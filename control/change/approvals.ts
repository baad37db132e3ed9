import { BallastError } from "../../common/errors.ts";
import type { ServiceChange } from "../checkpoint/record.ts";
import type { PlannedService } from "../plan/plan.ts";
import type { FreezeVerdict } from "./freeze.ts";
import type { LedgerState, OwedApproval, PendingChange } from "./ledger.ts";

/** What each rule of approval refuses, as typed errors. Pure; the caller writes what they allow. */

/** Names are compared without case and outer spaces: `Alice` is not a second pair of eyes for `alice`. */
export function samePerson(a: string, b: string): boolean {
  const plain = (name: string) => name.trim().normalize("NFKC").toLowerCase();
  return plain(a) === plain(b);
}

/** A change that waits, or an emergency that owes; throws CHANGE_NOT_FOUND. */
export function awaiting(
  state: LedgerState,
  epoch: number,
): { kind: "pending"; change: PendingChange } | { kind: "owed"; owed: OwedApproval } {
  const change = state.pending.find((one) => one.epoch === epoch);
  if (change !== undefined) return { kind: "pending", change };
  const owed = state.owed.find((one) => one.epoch === epoch);
  if (owed !== undefined) return { kind: "owed", owed };
  throw new BallastError("CHANGE_NOT_FOUND", `no change waits for approval under epoch ${epoch}`);
}

/** Throws SELF_APPROVAL when the approver made the change. */
export function otherThanAuthor(author: { kind: string; name: string }, by: string): void {
  if (author.kind === "person" && samePerson(author.name, by)) {
    throw new BallastError("SELF_APPROVAL", `${by} is the author of the change`);
  }
}

/** Throws CHANGE_EXPIRED, or CHANGE_STALE when what is in force is not what the approver was shown. */
export function stillApplies(
  change: PendingChange,
  inForce: ReadonlyMap<string, PlannedService>,
  wallMs: number,
): void {
  if (wallMs >= change.expiresAtMs) {
    throw new BallastError("CHANGE_EXPIRED", `change ${change.epoch} expired at ${iso(change.expiresAtMs)}`);
  }
  for (const service of change.services) {
    const moved = movedSince(service, service.beforeMode, inForce.get(service.name));
    if (moved !== null) throw new BallastError("CHANGE_STALE", `change ${change.epoch}: ${moved}`);
  }
}

function movedSince(service: ServiceChange, beforeMode: string, now: PlannedService | undefined): string | null {
  if (now === undefined) return `${service.name} is not in force any more`;
  if (now.mode !== beforeMode) return `${service.name} was ${beforeMode} when it was proposed and is ${now.mode} now`;
  if (now.targets.length !== service.targets.length) return `${service.name} has other targets now`;
  for (const target of service.targets) {
    const share = now.targets.find((other) => other.name === target.name)?.weightPpm ?? null;
    if (share !== target.beforePpm) {
      return `${target.name} had ${target.beforePpm} ppm when it was proposed and has ${share ?? "none"} now`;
    }
  }
  return null;
}

/** Throws CHANGE_IN_FLIGHT when another change of one of the services waits, CHANGES_FULL when too many do. */
export function roomFor(state: LedgerState, services: readonly string[], maxPending: number): void {
  for (const change of state.pending) {
    const both = change.services.find(({ name }) => services.includes(name));
    if (both !== undefined) {
      throw new BallastError("CHANGE_IN_FLIGHT", `change ${change.epoch} of ${both.name} waits for approval`);
    }
  }
  if (state.pending.length >= maxPending) {
    throw new BallastError("CHANGES_FULL", `${state.pending.length} changes wait for approval: at most ${maxPending}`);
  }
}

/** Throws CHANGE_FROZEN when a service is frozen and no break-glass was given. */
export function notFrozen(verdicts: ReadonlyMap<string, FreezeVerdict>, breakGlass: boolean): void {
  if (breakGlass) return;
  for (const [service, verdict] of verdicts) {
    if (!verdict.frozen) continue;
    const until = Number.isFinite(verdict.untilMs) ? `; looked at again at ${iso(verdict.untilMs)}` : "";
    throw new BallastError("CHANGE_FROZEN", `${service} is ${verdict.text}${until}`);
  }
}

/** Owed approvals whose time has run out. */
export function overdue(state: LedgerState, wallMs: number): OwedApproval[] {
  return state.owed.filter(({ dueMs }) => dueMs <= wallMs);
}

export function expired(state: LedgerState, wallMs: number): PendingChange[] {
  return state.pending.filter(({ expiresAtMs }) => expiresAtMs <= wallMs);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
