// What only the leader does: answer the control server for the whole Envoy. An ACK of a stage says that every live member
// holds and has verified the set; an ACK of an activation, that every live member uses it. Nothing is acknowledged before
// the membership was unchanged for a second after the start or a takeover: until then a member may be overlooked.

import { CAS_CREATE, Status } from "./abi";
import {
  getMessage,
  monotonicNs,
  randomU64,
  value,
  valueLength,
  wake,
} from "./host";
import { count, Counter } from "./metrics";
import { numberOf, readMessage } from "./proto";
import { isTableReason, Reason } from "./reason";
import {
  isRegistered,
  memberAt,
  MemberRecord,
  MemberState,
  ownSlot,
} from "./sync-board";
import {
  active,
  activateStaged,
  readHeader,
  SET_REF_BYTES,
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
  incoming,
  isReused,
  isSet,
  isStaging,
  missing,
  nameMissing,
  offered,
  publishStage,
  tableTaken,
  takeStage,
  takeTable,
} from "./sync-stage";
import { resetStream, streamWorks, tokenFor } from "./sync-stream";
import * as wire from "./sync-wire";
import { Type } from "./sync-wire";

/** How long the activation of a set that is not staged yet may wait for it. */
const PENDING_NS: u64 = 30_000_000_000;
/** How long an activation waits for members that have not staged its set yet; dead ones are off the board by then. */
const STRAGGLERS_NS: u64 = 2_000_000_000;

/** A Stage or Activation that is not answered yet. */
@unmanaged
class Pending {
  epoch: u64;
  digest: u64;
  term: u64;
  since: u64;
  mode: u32;
  open: bool;
}
const stage: Pending = changetype<Pending>(memory.data(48, 8));
const activation: Pending = changetype<Pending>(memory.data(48, 8));

export function startLeading(): void {
  resetMembers();
  forgetStream();
}

/** A stream ended: what was not answered on it never will be. The server says it again on the next one. */
export function forgetStream(): void {
  stage.open = false;
  activation.open = false;
  abandonStage();
  wire.forgetSubscriptions();
}

/** Lost the lease: another member speaks now. */
export function stopLeading(root: u32): void {
  dropLease();
  forgetStream();
  resetStream(monotonicNs(), root);
}

/** The first requests of a new stream. What is held is claimed only if it could be acknowledged now. */
export function greet(root: u32): void {
  wire.forgetSubscriptions();
  wire.describeNode(instanceId());
  if (isSettled() && readHeader()) {
    if (
      active.slot >= 0 &&
      survey(active.epoch, active.digest, true, active.mode)
    ) {
      wire.setVersion(Type.Activation, active.epoch, active.digest);
      wire.setVersion(Type.Stage, active.epoch, active.digest);
    }
    if (staged.slot >= 0 && survey(staged.epoch, staged.digest, false, 0)) {
      wire.setVersion(Type.Stage, staged.epoch, staged.digest);
    }
  }
  if (!send(root, Type.Stage, true, Reason.None, 0, 0)) return;
  send(root, Type.Activation, true, Reason.None, 0, 0);
}

function send(
  root: u32,
  type: u32,
  withNode: bool,
  reason: u32,
  epoch: u64,
  digest: u64,
): bool {
  const token = tokenFor(root);
  if (token == 0) return false;
  wire.startRequest(type, withNode);
  if (type == Type.Table) nameMissing();
  if (wire.finishRequest(token, type, reason, epoch, digest)) return true;
  resetStream(monotonicNs(), root);
  forgetStream();
  return false;
}

/** A message on the stream. True when the members have something new to follow. */
export function onMessage(root: u32, size: usize): bool {
  if (!stillHolds()) {
    stopLeading(root);
    return false;
  }
  const read = getMessage(size);
  const from = value();
  const length = valueLength();
  if (!read || !wire.readResponse(from, length)) {
    // Without a readable envelope there is no nonce to refuse: begin anew.
    resetStream(monotonicNs(), root);
    forgetStream();
    return false;
  }
  streamWorks();
  if (wire.responseType == Type.Stage) return onStage(root);
  if (wire.responseType == Type.Table) return onTables(root);
  return onActivation(root);
}

/** A Stage or Activation response has exactly one resource. */
function isOnlyResource(): bool {
  if (!wire.nextResource() || !wire.resourceOk) return false;
  resourceAt = wire.resource;
  resourceLength = wire.resourceLength;
  return !wire.nextResource();
}
let resourceAt: usize = 0;
let resourceLength: usize = 0;

function onStage(root: u32): bool {
  memory.fill(changetype<usize>(offered), 0, SET_REF_BYTES);
  const reason = isOnlyResource() ? takeStage(resourceAt, resourceLength) : Reason.Malformed;
  stage.open = false;
  if (reason != Reason.None) {
    send(root, Type.Stage, false, reason, offered.epoch, offered.digest);
    return false;
  }
  open(stage, incoming);
  if (isStaging() && missing != 0) send(root, Type.Table, false, Reason.None, 0, 0);
  return true;
}

function open(pending: Pending, ref: SetRef): void {
  pending.epoch = ref.epoch;
  pending.digest = ref.digest;
  pending.term = ref.term;
  pending.mode = ref.mode;
  pending.since = monotonicNs();
  pending.open = true;
}

function onTables(root: u32): bool {
  let reason: u32 = Reason.None;
  while (reason == Reason.None && wire.nextResource()) {
    reason = wire.resourceOk ? takeTable(wire.resource, wire.resourceLength) : Reason.Malformed;
  }
  if (reason != Reason.None) {
    if (isTableReason(reason)) count(Counter.RefusedTables);
    // A set is refused as a whole when one of its tables is.
    abandonStage();
    if (!send(root, Type.Table, false, reason, 0, tableTaken)) return false;
    if (stage.open) {
      stage.open = false;
      send(root, Type.Stage, false, reason, stage.epoch, stage.digest);
    }
    return false;
  }
  wire.adoptVersion(Type.Table);
  send(root, Type.Table, false, Reason.None, 0, 0);
  return true;
}

const OFFER: SetRef = changetype<SetRef>(memory.data(32, 8));

function onActivation(root: u32): bool {
  memory.fill(changetype<usize>(OFFER), 0, SET_REF_BYTES);
  const reason = isOnlyResource() ? readActivation() : Reason.Malformed;
  activation.open = false;
  if (reason != Reason.None) {
    send(root, Type.Activation, false, reason, OFFER.epoch, OFFER.digest);
    return false;
  }
  open(activation, OFFER);
  return true;
}

function readActivation(): u32 {
  if (!readMessage(resourceAt, resourceLength)) return Reason.Malformed;
  OFFER.epoch = numberOf(1);
  OFFER.term = numberOf(2);
  OFFER.digest = numberOf(3);
  OFFER.mode = <u32>min<u64>(numberOf(4), 0xffff);
  if (OFFER.epoch == 0) return Reason.Malformed;
  if (OFFER.mode == Mode.Unspecified || OFFER.mode > Mode.Passthrough)
    return Reason.ModeUnknown;
  if (!readHeader()) return Reason.HandoverFailed;
  if (isReused(OFFER.epoch, OFFER.digest)) return Reason.EpochReused;
  if (
    active.slot >= 0 &&
    (OFFER.epoch < active.epoch || OFFER.term < active.term)
  )
    return Reason.EpochStale;
  return Reason.None;
}

/** Publishes a stage that is complete and an activation that is due, then answers what can be answered. */
export function evaluate(root: u32): bool {
  if (!isRegistered()) return false;
  let news = isStaging() && missing == 0 && publishAndWake();
  news = tryActivate(root) || news;
  if (!isSettled() || tokenFor(root) == 0) return news;
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
  const waited = monotonicNs() - activation.since;
  if (isSet(active, activation.epoch, activation.digest)) {
    if (active.mode == activation.mode && active.term == activation.term)
      return false;
  } else if (isSet(staged, activation.epoch, activation.digest)) {
    const all = survey(activation.epoch, activation.digest, false, 0);
    if (surveyReason != Reason.None || (!all && waited < STRAGGLERS_NS))
      return false;
  } else {
    if (waited > PENDING_NS) {
      activation.open = false;
      send(
        root,
        Type.Activation,
        false,
        Reason.SetUnknown,
        activation.epoch,
        activation.digest,
      );
    }
    return false;
  }
  if (isSet(active, activation.epoch, activation.digest)) {
    active.mode = activation.mode;
    active.term = activation.term;
  } else activateStaged(activation.term, activation.mode);
  if (!writeHeader()) return false;
  wakeMembers();
  return true;
}

function answer(root: u32, type: u32, pending: Pending): void {
  if (!pending.open) return;
  const all = survey(
    pending.epoch,
    pending.digest,
    type == Type.Activation,
    pending.mode,
  );
  const reason = surveyReason;
  if (!all && reason == Reason.None) return;
  pending.open = false;
  if (reason == Reason.None)
    wire.setVersion(type, pending.epoch, pending.digest);
  else if (isTableReason(reason)) count(Counter.RefusedTables);
  send(root, type, false, reason, pending.epoch, pending.digest);
}

/** Why a live member refuses the set of the last survey; None when none does. */
let surveyReason: u32 = Reason.None;

/** Goes over the board: true when every counting member holds the set (or uses it, in this mode). */
function survey(epoch: u64, digest: u64, mustUse: bool, mode: u32): bool {
  surveyReason = Reason.None;
  let all = true;
  let members = 0;
  for (let number: u32 = 0; ; number++) {
    const there = memberAt(number);
    if (there == 0) break;
    const member = changetype<MemberRecord>(there);
    if (member.state != MemberState.Counting) continue;
    members++;
    const uses = member.activeEpoch == epoch && member.activeDigest == digest;
    const holds = member.stagedEpoch == epoch && member.stagedDigest == digest;
    if (mustUse ? !uses || member.mode != mode : !uses && !holds) all = false;
    if (
      member.reason != Reason.None &&
      member.refusedEpoch == epoch &&
      member.refusedDigest == digest &&
      !uses
    ) {
      surveyReason = member.reason;
    }
  }
  return all && members != 0 && surveyReason == Reason.None;
}

function wakeMembers(): void {
  for (let number: u32 = 0; ; number++) {
    const there = memberAt(number);
    if (there == 0) break;
    const member = changetype<MemberRecord>(there);
    if (member.state != MemberState.Free && <i32>number != ownSlot())
      wake(member.queue);
  }
}

/** Random per Envoy process: the first leader makes it, all later ones find it. */
function instanceId(): u64 {
  for (let attempt = 0; attempt < 2; attempt++) {
    if (shared.read(Kind.Instance, 0) == Status.Ok && valueLength() == 8)
      return load<u64>(value());
    store<u64>(INSTANCE, randomU64());
    if (shared.write(Kind.Instance, 0, INSTANCE, 8, CAS_CREATE))
      return load<u64>(INSTANCE);
  }
  return 0;
}
const INSTANCE = memory.data(8, 8);
