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
import { Reader } from "./proto";
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

export let refusedTables: u64 = 0;
let refusedStage: u32 = Reason.None;

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
  if (!read || !wire.readResponse(from, length) || !noteEnvelope()) {
    // Without a readable envelope there is no nonce to refuse: begin anew.
    resetStream(monotonicNs(), root);
    forgetStream();
    return false;
  }
  streamWorks();
  if (wire.response.type == Type.Stage) return onStage(root, from, length);
  if (wire.response.type == Type.Table) return onTables(root, from, length);
  return onActivation(root, from, length);
}

function noteEnvelope(): bool {
  const r = wire.response;
  return wire.noteResponse(
    r.type,
    r.nonce,
    r.nonceLength,
    r.version,
    r.versionLength,
  );
}

/** The one resource of a Stage or Activation response: its length, or -1. */
function onlyResource(from: usize, length: usize): i32 {
  wire.openResources(from, length);
  const size = wire.nextResource();
  if (size < 0) return -1;
  const at = wire.resource();
  if (wire.nextResource() != -1) return -1;
  resourceAt = at;
  return size;
}
let resourceAt: usize = 0;

function onStage(root: u32, from: usize, length: usize): bool {
  const size = onlyResource(from, length);
  memory.fill(changetype<usize>(offered), 0, 32);
  const reason = size < 0 ? Reason.Malformed : takeStage(resourceAt, size);
  stage.open = false;
  if (reason != Reason.None) {
    send(root, Type.Stage, false, reason, offered.epoch, offered.digest);
    return false;
  }
  open(stage, incoming);
  if (!isStaging()) return false;
  if (missing != 0) {
    send(root, Type.Table, false, Reason.None, 0, 0);
    return false;
  }
  return publishAndWake();
}

function open(pending: Pending, ref: SetRef): void {
  pending.epoch = ref.epoch;
  pending.digest = ref.digest;
  pending.term = ref.term;
  pending.mode = ref.mode;
  pending.since = monotonicNs();
  pending.open = true;
}

function onTables(root: u32, from: usize, length: usize): bool {
  let reason: u32 = Reason.None;
  let about: u64 = 0;
  wire.openResources(from, length);
  for (;;) {
    const size = wire.nextResource();
    if (size == -1) break;
    reason = size < 0 ? Reason.Malformed : takeTable(wire.resource(), size);
    if (isTableReason(reason)) refusedTables++;
    if (reason != Reason.None) {
      about = tableTaken;
      break;
    }
  }
  if (reason != Reason.None) {
    // A set is refused as a whole when one of its tables is.
    abandonStage();
    if (!send(root, Type.Table, false, reason, 0, about)) return false;
    if (stage.open) {
      stage.open = false;
      send(root, Type.Stage, false, reason, stage.epoch, stage.digest);
    }
    return false;
  }
  wire.adoptVersion(Type.Table);
  if (!send(root, Type.Table, false, Reason.None, 0, 0)) return false;
  return publishAndWake();
}

const READER: Reader = changetype<Reader>(memory.data(48, 8));
const OFFER: SetRef = changetype<SetRef>(memory.data(32, 8));

function onActivation(root: u32, from: usize, length: usize): bool {
  const size = onlyResource(from, length);
  memory.fill(changetype<usize>(OFFER), 0, 32);
  const reason = size < 0 ? Reason.Malformed : readActivation(size);
  activation.open = false;
  if (reason != Reason.None) {
    send(root, Type.Activation, false, reason, OFFER.epoch, OFFER.digest);
    return false;
  }
  open(activation, OFFER);
  return true;
}

function readActivation(size: usize): u32 {
  READER.open(resourceAt, size);
  while (READER.next()) {
    if (READER.is(1, 0)) OFFER.epoch = READER.number;
    else if (READER.is(2, 0)) OFFER.term = READER.number;
    else if (READER.is(3, 1)) OFFER.digest = READER.number;
    else if (READER.is(4, 0)) OFFER.mode = <u32>min<u64>(READER.number, 0xffff);
  }
  if (!READER.ok || OFFER.epoch == 0) return Reason.Malformed;
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
  else if (isTableReason(reason)) refusedTables++;
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
