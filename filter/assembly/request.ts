// The request path: find the service, pick, replace one header. No allocation, no shared data, no metric, no log; the
// counters are flushed on tick. (One exception, once in a VM's life: see `admit`.)

import { compare, isEqual, putBytes, putDecimal } from "./bytes";
import { config, ServiceFrom, SessionFrom } from "./config";
import {
  getProperty,
  getRequestHeader,
  getRequestHeaders,
  replaceRequestHeader,
  setValue,
  value,
  valueLength,
} from "./host";
import { messageBuffer } from "./memory";
import { count, countRoute, Counter } from "./metrics";
import { pickNext, pickSticky } from "./pick";
import { findTable, Region, TableRecord } from "./store";
import { markServing } from "./seed";
import { own } from "./sync-board";
import { tableTarget } from "./table";
import { ascii } from "./words";

/** What the request path does, one word so that the common case is one comparison. */
export namespace Gate {
  /** Pick and write. */
  export const Steer: u32 = 0;
  /** Leave every request alone: nothing held, or fleet mode OBSERVE or PASSTHROUGH, or quarantined. */
  export const Pass: u32 = 1;
  /** As Steer, after this VM said once that it serves a seeded set. */
  export const FirstSeeded: u32 = 2;
}

let gate: u32 = 1; // Gate.Pass
let active: Region | null = null;
let fixedTable: TableRecord | null = null;

const COOKIE: usize = ascii("cookie");
const COOKIE_LENGTH: usize = 6;
const ROUTE_NAME: usize = ascii("xds\0route_name");
const ROUTE_NAME_LENGTH: usize = 14;

/** Puts a set in use. `fixedTable` saves the look-up when the service does not depend on the request. */
export function useRegion(r: Region | null, to: u32): void {
  active = r;
  // Of another configuration's way to read them.
  headers = 0;
  gate = r === null ? Gate.Pass : to;
  fixedTable =
    r !== null && config.serviceFrom == ServiceFrom.Fixed ? findTable(r, config.service, config.serviceLength) : null;
}

export function onRequestHeaders(): void {
  if (gate != Gate.Steer && !admit()) {
    count(Counter.Passed);
    return;
  }
  const table = serviceTable();
  if (table === null) {
    count(Counter.WithoutTable);
    return;
  }
  if (table.observed) {
    count(Counter.Passed);
    return;
  }
  const target = !table.single && hasSession() ? pickSession(table) : pickNext(table);
  const text = <usize>load<u32>(table.values + ((<usize>target) << 2));
  // An empty value: the route leads to this target by itself. What is not written is not paid for: the first write of a
  // request makes Envoy resolve its route a second time.
  if (load<u16>(text) == 0) count(Counter.Unwritten);
  else replaceRequestHeader(config.steer, config.steerLength, text + 2, load<u16>(text));
  if (config.debugLength != 0) describe(table, target);
  count(Counter.Steered);
}

/** For requests that carry the debug header: its value becomes "<service> <target> <epoch>". */
function describe(table: TableRecord, target: u32): void {
  if (!getRequestHeader(config.debug, config.debugLength)) return;
  const line = messageBuffer();
  const end = putDecimal(putName(putName(line, table.service), tableTarget(table.table, target)), own.activeEpoch);
  replaceRequestHeader(config.debug, config.debugLength, line, end - line);
}
function putName(to: usize, name: usize): usize {
  to = putBytes(to, name + 2, load<u16>(name));
  store<u8>(to, 32);
  return to + 1;
}

/** The rare gates. A seeded VM notes its first request in shared data, so that a set that traps requests is told from a
    configuration that was only tried out (a canary is never asked). */
function admit(): bool {
  if (gate != Gate.FirstSeeded) return false;
  gate = Gate.Steer;
  markServing();
  return true;
}

/** The request's headers in the scratch buffer, 0 where they are not read at once. */
let headers: usize = 0;

/** The first header of a name. One that is not found in what was read at once is asked for: the host knows names in any case. */
function findHeader(name: usize, nameLength: usize): bool {
  if (headers != 0) {
    let lengths = headers + 4;
    let text = lengths + ((<usize>load<u32>(headers)) << 3);
    for (const end = text; lengths < end; lengths += 8) {
      const length = <usize>load<u32>(lengths);
      setValue(text + length + 1, load<u32>(lengths, 4));
      if (isEqual(text, length, name, nameLength)) return true;
      text = value() + valueLength() + 1;
    }
    headers = 0;
  }
  return getRequestHeader(name, nameLength);
}

function serviceTable(): TableRecord | null {
  const from = config.serviceFrom;
  if (from == ServiceFrom.Fixed) return fixedTable;
  let found: bool;
  if (from == ServiceFrom.RouteName) found = getProperty(ROUTE_NAME, ROUTE_NAME_LENGTH);
  else {
    // Session and service from headers: all headers in one call cost 0.7 µs less than these two in two, as each value is handed
    // over through a nested call of malloc. For one header alone all of them cost more (docs/decisions/0003).
    if (config.sessionFrom != SessionFrom.Nowhere) headers = getRequestHeaders() ? value() : 0;
    found = findHeader(config.service, config.serviceLength);
  }
  if (!found) return null;
  const table = findTable(active!, value(), valueLength());
  if (table === null && from == ServiceFrom.RouteName) countRoute(value(), valueLength());
  return table;
}

/** Makes the session's key the value; an absent or empty one is none. */
function hasSession(): bool {
  if (config.sessionFrom == SessionFrom.Nowhere) return false;
  return config.sessionFrom == SessionFrom.Header
    ? findHeader(config.session, config.sessionLength) && valueLength() != 0
    : findHeader(COOKIE, COOKIE_LENGTH) && findCookie(value(), valueLength());
}

function pickSession(table: TableRecord): u32 {
  count(Counter.Sticky);
  return pickSticky(table, value(), valueLength());
}

/** `name=value` pairs split by semicolons, white space before a name left out (RFC 6265, 5.4). The first match counts. */
function findCookie(at: usize, length: usize): bool {
  const end = at + length;
  const name = config.session;
  const nameLength = config.sessionLength;
  while (at < end) {
    while (at < end && load<u8>(at) <= 32) at++;
    const start = at;
    while (at < end && load<u8>(at) != 59) at++;
    const from = start + nameLength + 1;
    if (at >= from && load<u8>(from - 1) == 61 && compare(start, name, nameLength) == 0) {
      setValue(from, at - from);
      return valueLength() != 0;
    }
    at++;
  }
  return false;
}
