// The module's callbacks, and which root of the VM drives: the newest, unless it stopped ticking. Callbacks that are not
// exported are never called: each one exported would be paid by every request (facts and figures: docs/decisions/0001).

import { CONTINUE, LogLevel } from "./abi";
import { putDecimal } from "./bytes";
import * as claims from "./claims";
import { canSubscribe, config, hasValues, readConfig } from "./config";
import { drainQueue, getConfiguration, log, monotonicMs, setTickPeriod, value, valueLength, wake } from "./host";
import { fail, Fault, putWhyNot, whereNot } from "./json";
import { scratch } from "./memory";
import * as metrics from "./metrics";
import { Counter, Gauge } from "./metrics";
import { setFleet } from "./pick";
import { seedRandom } from "./random";
import * as requests from "./request";
import { seed, tickSeed } from "./seed";
import { layOut } from "./store";
import { claimSlot, isRegistered, newIncarnation, openQueue, own, publish } from "./sync-board";
import { directoryBytes, placeDirectory } from "./sync-directory";
import { setPrefix } from "./sync-keys";
import * as leader from "./sync-leader";
import { isLeader, tickLease } from "./sync-lease";
import * as liveness from "./sync-liveness";
import { advance, ageSet, rejoin, resetMember, reuseRegion, serving, setAgeMs } from "./sync-member";
import * as stream from "./sync-stream";
import { ascii, putText } from "./words";
import { xxh64 } from "./xxh64";

export { malloc } from "./host";

export function proxy_abi_version_0_2_1(): void {}

/** Heartbeat and fall-back; wake-ups come through the queue. */
const TICK_MS: u32 = 100;
/** Another root takes over when so many ticks of others passed, and so long a time, without one of the driving root. */
const MISSED_TICKS: u32 = 10;
const MISSED_MS: u32 = 1_000;

let layoutHash: u64 = 0;
let driver: u32 = 0;
let missedTicks: u32 = 0;
let drivenAt: u32 = 0;
/** Of the driving root, see claims.ts. */
let filter: u64 = 0;
let configuration: u64 = 0;
let queueRoot: u32 = 0;
/** Another configuration than the driving one still has a root here: during an update, or for as long as two filters clash. */
let otherTicked: u32 = 0;
let wasLeader: bool = false;

/** 0 only for an invalid configuration: in a canary that refuses the update, anywhere else it would only do harm. */
export function proxy_on_configure(root: u32, size: u32): u32 {
  const length = getConfiguration(size) ? valueLength() : 0;
  const raw = xxh64(value(), length, 0);
  if (!readConfig(value(), length)) return explain();
  // Where the sets lie. An update that changes nothing of it, nor what tables are linked to, keeps what is held.
  const hash = setPrefix() ^ (((<u64>config.maxServices) << 32) | config.maxSetBytes);
  // A VM that drives already is told by its canary that this is no clash.
  if (claims.sign(raw, driver == 0) == 0) {
    fail(Fault.Clash);
    return explain();
  }
  filter = claims.filter;
  configuration = raw;
  setFleet(config.fleet, config.fleetLength);
  if (hash != layoutHash || hasValues()) {
    layoutHash = hash;
    seedRandom();
    newIncarnation();
    resetMember();
    placeDirectory(layOut(directoryBytes()));
    seed();
  } else reuseRegion();
  driver = root;
  missedTicks = 0;
  setTickPeriod(TICK_MS);
  return 1;
}

const REFUSED: usize = ascii("ballast: config refused at byte ");
const COLON: usize = ascii(": ");
function explain(): u32 {
  const line = scratch();
  let end = putDecimal(putText(line, REFUSED), whereNot());
  end = putWhyNot(putText(end, COLON));
  log(LogLevel.Error, line, end - line);
  return 0;
}

export function proxy_on_request_headers(context: u32, headers: u32, endOfStream: u32): u32 {
  requests.onRequestHeaders();
  return CONTINUE;
}

export function proxy_on_tick(root: u32): void {
  const now = monotonicMs();
  const said = claims.sign(root == driver ? configuration : 0, false);
  if (root != driver) {
    // The same filter's old root, or another one with another configuration.
    if (claims.filter == filter || said != configuration) otherTicked = 4;
    if (stream.tickOldRoot(root)) leader.forgetStream();
    if (++missedTicks < MISSED_TICKS || now - drivenAt < MISSED_MS) return;
    driver = root;
    filter = claims.filter;
  }
  missedTicks = 0;
  drivenAt = now;
  ageSet(now);
  if (stream.tickStream(root)) leader.forgetStream();
  beat(root);
  if (isRegistered() & canSubscribe()) tickLease(now);
  noteLease(root);
  if (isLeader()) {
    liveness.tickMembers(now);
    if (stream.openStream(now, root)) leader.greet(root);
  }
  work(root);
  tickSeed();
  flush();
}

function beat(root: u32): void {
  if (isRegistered()) {
    own.beats++;
    // Declared dead: join anew, from an empty record.
    if (!publish()) rejoin();
  }
  const isNew = !isRegistered();
  if (isNew && !claimSlot()) return;
  if (!isNew && queueRoot == root) return;
  openQueue();
  queueRoot = root;
}

function noteLease(root: u32): void {
  if (isLeader() == wasLeader) return;
  wasLeader = isLeader();
  if (wasLeader) {
    metrics.count(Counter.LeaseChanges);
    leader.startLeading();
  } else leader.stopLeading(root);
}

/** Follows the header as a member and answers as the leader, until nothing is new; the rest of a long copy goes on after a wake-up. */
function work(root: u32): void {
  if (!isRegistered()) return;
  let more = advance();
  // Bounded: a stage and an activation may follow each other, no more.
  for (let i = 0; i < 3 && isLeader() && leader.evaluate(root); i++) more = advance();
  if (more) wake(own.queue);
  else if (isLeader()) leader.evaluate(root);
}

export function proxy_on_queue_ready(root: u32, queue: u32): void {
  if (queue != own.queue) return;
  // At most one entry lies there, see `wake`.
  drainQueue(queue);
  work(root);
}

export function proxy_on_grpc_receive(root: u32, token: u32, size: u32): void {
  if (!stream.isStream(token)) return;
  leader.onMessage(root, size);
  work(root);
}

export function proxy_on_grpc_close(root: u32, token: u32, status: u32): void {
  // A stream that failed to start is closed under a token that nobody was given.
  if (!stream.isStream(token)) return;
  stream.streamClosed(monotonicMs());
  leader.forgetStream();
}

function flush(): void {
  metrics.gauge(Gauge.Unsubscribed, canSubscribe() ? 0 : 1);
  if (isLeader()) {
    const set = serving();
    metrics.gauge(Gauge.StreamUp, stream.isOpen() ? 1 : 0);
    metrics.gauge(Gauge.Mode, own.mode);
    metrics.gauge(Gauge.ConfigClash, otherTicked);
    otherTicked >>= 1;
    metrics.gauge(Gauge.Services, set === null ? 0 : set.count);
    metrics.gauge(Gauge.SetAge, set === null ? 0 : setAgeMs / 1000);
  }
  metrics.flushMetrics(isLeader());
}
