// What only the leader does: answer the control server for the whole Envoy. An ACK of a stage says that every live member
// holds and has verified the set; an ACK of an activation, that every live member uses it. Nothing is acknowledged before
// the membership was unchanged for a second after the start or a takeover: until then a member may be overlooked.

import { CAS_CREATE } from "./abi";
import { getMessage, monotonicMs, randomU64, value, valueLength, wake } from "./host";
import { count, Counter } from "./metrics";
import { numberOf } from "./proto";
import { Reason } from "./reason";
import { isBoardEnd, isRegistered, memberAt, MemberRecord, MemberState, ownSlot } from "./sync-board";
import {
  active,
  activateStaged,
  copyRef,
  isReused,
  isSame,
  isSet,
  readHeader,
  SET_REF_BYTES,
  SetId,
  SetRef,
  staged,
  writeHeader,
} from "./sync-header";
import { Kind } from "./sync-keys";
import { dropLease, stillHolds } from "./sync-lease";
import { isSettled, resetMembers } from "./sync-liveness";
import { Mode } from "./sync-member";
import * as shared from "./sync-shared";
import {
  abandonStage,
  isStaging,
  missing,
  nameMissing,
  offered,
  publishStage,
  readOffer,
  tableTaken,
  takeStage,
  takeTable,
} from "./sync-stage";
import { resetStream, streamWorks, tokenFor } from "./sync-stream";
import * as wire from "./sync-wire";
import { Type } from "./sync-wire";

/** How long the activation of a set that is not staged yet may wait for it. */
const PENDING_MS: u32 = 30_000;
/** How long an activation waits for members that have not staged its set yet; dead ones are off the board by then. */
const STRAGGLERS_MS: u32 = 2_000;

/** A Stage or Activation that is not answered yet. */
@unmanaged
class Pending extends SetRef {
  since: u32;
  open: bool;
}
const stage: Pending = changetype<Pending>(memory.data(48, 8));
const activation: Pending = changetype<Pending>(memory.data(48, 8));

export function startLeading(): void {
  resetMembers();
  forgetStream();
  wire.forgetVersions();
}

/** A stream ended: what was not answered on it never will be. The server says it again on the next one. */
export function forgetStream(): void {
  stage.open = false;
  activation.open = false;
  abandonStage();
  wire.forgetNonces();
}

/** Lost the lease: another member speaks now. */
export function stopLeading(root: u32): void {
  dropLease();
  giveUp(root);
}

function giveUp(root: u32): void {
  resetStream(monotonicMs(), root);
  forgetStream();
}

/** The first requests of a new stream. They claim what this leader acknowledged last, and nothing after a takeover. */
export function greet(root: u32): void {
  wire.describeNode(instanceId());
  send(root, Type.Stage, true, Reason.None, stage);
  send(root, Type.Activation, true, Reason.None, stage);
}

/** ACK for Reason.None, NACK about a set or table else. */
function send(root: u32, type: u32, withNode: bool, reason: u32, about: SetId): void {
  const token = tokenFor(root);
  if (token == 0) return;
  if ((reason != Reason.None) & (type != Type.Table)) count(Counter.Refused + reason);
  wire.startRequest(type, withNode);
  if (type == Type.Table) nameMissing();
  if (!wire.finishRequest(token, type, reason, about)) giveUp(root);
}

/** A message on the stream. */
export function onMessage(root: u32, size: usize): void {
  if (!stillHolds()) return stopLeading(root);
  // Without a readable envelope there is no nonce to refuse: begin anew.
  if (!getMessage(size) || !wire.readResponse(value(), valueLength())) return giveUp(root);
  streamWorks();
  if (wire.responseType == Type.Table) return onTables(root);
  const isStage = wire.responseType == Type.Stage;
  const pending = isStage ? stage : activation;
  pending.open = false;
  memory.fill(changetype<usize>(offered), 0, SET_REF_BYTES);
  let reason: u32 = Reason.Malformed;
  if (isOnlyResource()) reason = isStage ? takeStage(wire.resource, wire.resourceLength) : checkActivation();
  if (reason != Reason.None) return send(root, wire.responseType, false, reason, offered);
  copyRef(pending, offered);
  pending.since = monotonicMs();
  pending.open = true;
  if (isStage && missing != 0) send(root, Type.Table, false, Reason.None, offered);
}

/** A Stage or Activation response has exactly one resource. */
function isOnlyResource(): bool {
  // Finding none, the second call leaves the first one's resource in place.
  return wire.nextResource() && wire.resourceOk && !wire.nextResource();
}

function onTables(root: u32): void {
  let reason: u32 = Reason.None;
  while (reason == Reason.None && wire.nextResource()) {
    reason = wire.resourceOk ? takeTable(wire.resource, wire.resourceLength) : Reason.Malformed;
  }
  // A set is refused as a whole when one of its tables is.
  if (reason != Reason.None) abandonStage();
  else wire.adoptVersion(Type.Table);
  send(root, Type.Table, false, reason, tableTaken);
  if (reason == Reason.None || !stage.open) return;
  stage.open = false;
  send(root, Type.Stage, false, reason, stage);
}

function checkActivation(): u32 {
  if (!readOffer(wire.resource, wire.resourceLength)) return Reason.Malformed;
  offered.mode = <u32>min<u64>(numberOf(4), 0xffff);
  if (offered.mode - Mode.Steer > Mode.Passthrough - Mode.Steer) return Reason.ModeUnknown;
  if (!readHeader()) return Reason.HandoverFailed;
  if (isReused(offered)) return Reason.EpochReused;
  const stale = (active.slot >= 0) & ((offered.epoch < active.epoch) | (offered.term < active.term));
  return stale ? Reason.EpochStale : Reason.None;
}

/** Publishes a stage that is complete and an activation that is due, then answers what can be answered. */
export function evaluate(root: u32): bool {
  if (!isRegistered()) return false;
  let news = isStaging() && missing == 0 && publishAndWake();
  news = tryActivate(root) || news;
  if (!isSettled() | (tokenFor(root) == 0)) return news;
  answer(root, Type.Stage, stage);
  answer(root, Type.Activation, activation);
  return news;
}

function publishAndWake(): bool {
  if (!publishStage()) return false;
  wakeMembers();
  return true;
}

/** Names the activation's set as the active one, once its members hold it or had time enough. */
function tryActivate(root: u32): bool {
  if (!activation.open || !readHeader()) return false;
  const waited = monotonicMs() - activation.since;
  if (isSet(active, activation)) {
    if ((active.mode == activation.mode) & (active.term == activation.term)) return false;
  } else if (isSet(staged, activation)) {
    if (!survey(activation, false) && (surveyReason != Reason.None || waited < STRAGGLERS_MS)) return false;
    activateStaged();
  } else {
    if (waited <= PENDING_MS) return false;
    activation.open = false;
    send(root, Type.Activation, false, Reason.SetUnknown, activation);
    return false;
  }
  active.mode = activation.mode;
  active.term = activation.term;
  if (!writeHeader()) return false;
  wakeMembers();
  return true;
}

function answer(root: u32, type: u32, pending: Pending): void {
  if (!pending.open || (!survey(pending, type == Type.Activation) && surveyReason == Reason.None)) return;
  pending.open = false;
  if (surveyReason == Reason.None) wire.setVersion(type, pending);
  send(root, type, false, surveyReason, pending);
}

/** Why a live member refuses the set of the last survey; None when none does. */
let surveyReason: u32 = 0;

/** Goes over the board: true when every counting member holds the set (or uses it, in its mode). */
function survey(ref: SetRef, mustUse: bool): bool {
  surveyReason = Reason.None;
  let all = true;
  let members = 0;
  let there = memberAt(0);
  for (let number: u32 = 1; there != 0; there = memberAt(number++)) {
    const member = changetype<MemberRecord>(there);
    if (member.state != MemberState.Counting) continue;
    const uses = isSame(member.active, ref);
    const proves = mustUse ? uses & (member.mode == ref.mode) : uses | isSame(member.staged, ref);
    if (!proves) all = false;
    members++;
    if ((member.reason != Reason.None) & !uses & isSame(member.refused, ref)) surveyReason = member.reason;
  }
  // A board that cannot be read to its end proves nothing.
  return all & (members != 0) & isBoardEnd() & (surveyReason == Reason.None);
}

function wakeMembers(): void {
  for (let number: u32 = 0; ; number++) {
    const there = memberAt(number);
    if (there == 0) break;
    const member = changetype<MemberRecord>(there);
    if ((member.state != MemberState.Free) & (<i32>number != ownSlot())) wake(member.queue);
  }
}

/** Random per Envoy process: the first leader makes it, all later ones find it. */
function instanceId(): u64 {
  store<u64>(INSTANCE, randomU64());
  shared.write(Kind.Instance, 0, INSTANCE, 8, CAS_CREATE);
  shared.readRecord(Kind.Instance, 0, INSTANCE, 8);
  return load<u64>(INSTANCE);
}
const INSTANCE = memory.data(8, 8);
