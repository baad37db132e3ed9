// The plugin configuration. Read whole into a spare block and only then put in force, so that a refused update leaves
// the VM as it was. Field by field: docs/reference/filter.md.

import { isEqual, isName, putBytes, putText } from "./bytes";
import { getProperty, value, valueLength } from "./host";
import * as json from "./json";
import { Fault } from "./json";
import { CONFIG_BYTES, configBlocks } from "./memory";
import { indexOfWord } from "./words";

export const MAX_CONFIG_BYTES: usize = 64 << 10;
const LEAST_SET_BYTES: u32 = 64 << 10;
export const MAX_SET_BYTES: u32 = 16 << 20;
export const MAX_SERVICES: u32 = 4096;
const MAX_TEXT: usize = 255;

export namespace ServiceFrom {
  export const RouteName: u32 = 0;
  export const Header: u32 = 1;
  export const Fixed: u32 = 2;
}
export namespace SessionFrom {
  export const Nowhere: u32 = 0;
  export const Cookie: u32 = 1;
  export const Header: u32 = 2;
}

/** Texts are pairs of address and length inside the block. */
@unmanaged
export class Config {
  cluster: usize;
  clusterLength: usize;
  fleet: usize;
  fleetLength: usize;
  node: usize;
  nodeLength: usize;
  steer: usize;
  steerLength: usize;
  serviceFrom: u32;
  service: usize;
  serviceLength: usize;
  sessionFrom: u32;
  session: usize;
  sessionLength: usize;
  maxServices: u32;
  maxSetBytes: u32;
  /** Triples of u16-prefixed texts: service, target, value. Both 0 without `values`. */
  values: usize;
  valuesEnd: usize;
}

// Two blocks: the one in force and the spare. [Config][texts][values]; every text comes from at least as many bytes of
// JSON, except that a value triple repeats its service: hence the bound checks in `keep`.
let inForce: usize = 0;

export let config: Config = changetype<Config>(configBlocks());

let blockAt: usize = 0;
let blockEnd: usize = 0;
const TEXT = memory.data(256, 8);
const KEY = memory.data(256, 8);
const SERVICE = memory.data(256, 8);

/** Parses a configuration; on success it is in force. On failure json.whyNot() says why and nothing has changed. */
export function readConfig(from: usize, length: usize): bool {
  const block = configBlocks() + (1 - inForce) * CONFIG_BYTES;
  memory.fill(block, 0, offsetof<Config>());
  blockAt = block + offsetof<Config>();
  blockEnd = block + CONFIG_BYTES;
  const next = changetype<Config>(block);
  next.maxServices = 1024;
  next.maxSetBytes = 4 << 20;

  json.open(from, length);
  if (length > MAX_CONFIG_BYTES) json.fail(Fault.TooLarge);
  else readFields(next);
  json.close();
  if (next.clusterLength == 0) json.fail(Fault.NoCluster);
  if (!json.isOk()) return false;

  if (next.steerLength == 0) {
    next.steerLength = putText(TEXT, "x-ballast-target") - TEXT;
    next.steer = keep(TEXT, next.steerLength);
  }
  // The JSON lies in the buffer that the property calls overwrite: it is no longer needed.
  if (next.fleetLength == 0 && nodeProperty("xds\0node\0cluster")) {
    next.fleetLength = min(valueLength(), MAX_TEXT);
    next.fleet = keep(value(), next.fleetLength);
  }
  if (next.nodeLength == 0 && nodeProperty("xds\0node\0id")) {
    next.nodeLength = min(valueLength(), MAX_TEXT);
    next.node = keep(value(), next.nodeLength);
  }
  if (!json.isOk()) return false;
  inForce = 1 - inForce;
  config = next;
  return true;
}

/** Without fleet or node there is nobody to subscribe as. */
export function canSubscribe(): bool {
  return config.fleetLength != 0 && config.nodeLength != 0;
}

/** Address of the u16-prefixed value to write for a target, 0 when `values` has none. */
export function findValue(
  service: usize,
  serviceLength: usize,
  target: usize,
  targetLength: usize,
): usize {
  for (let at = config.values; at < config.valuesEnd;) {
    const name = at + 2 + <usize>load<u16>(at);
    const text = name + 2 + <usize>load<u16>(name);
    if (isEqual(at + 2, load<u16>(at), service, serviceLength)) {
      if (isEqual(name + 2, load<u16>(name), target, targetLength)) return text;
    }
    at = text + 2 + <usize>load<u16>(text);
  }
  return 0;
}

function nodeProperty(path: string): bool {
  return getProperty(TEXT, putText(TEXT, path) - TEXT);
}

const FIELDS: string =
  "control_cluster|fleet|node|service_from|session_from|steer_header|values|max_services|max_set_bytes";
const FIELD_COUNT: u32 = 9;

function readFields(next: Config): void {
  let seen: u32 = 0;
  json.expect(OBJECT);
  if (json.take(OBJECT_END)) return;
  do {
    const field = indexOfWord(KEY, readKey(), FIELDS, FIELD_COUNT);
    if (field < 0) json.fail(Fault.UnknownField);
    if (((seen >> field) & 1) != 0) json.fail(Fault.Twice);
    seen |= 1 << field;
    switch (field) {
      case 0:
        next.clusterLength = readText();
        next.cluster = keep(TEXT, next.clusterLength);
        break;
      case 1:
        next.fleetLength = readText();
        next.fleet = keep(TEXT, next.fleetLength);
        break;
      case 2:
        next.nodeLength = readText();
        next.node = keep(TEXT, next.nodeLength);
        break;
      case 3:
        readServiceFrom(next);
        break;
      case 4:
        readSessionFrom(next);
        break;
      case 5:
        next.steerLength = readToken();
        next.steer = keep(TEXT, next.steerLength);
        break;
      case 6:
        readValues(next);
        break;
      case 7:
        next.maxServices = json.readNumber(1, MAX_SERVICES);
        break;
      case 8:
        next.maxSetBytes = json.readNumber(LEAST_SET_BYTES, MAX_SET_BYTES);
        break;
    }
  } while (json.another());
}

// The words stand in the order of ServiceFrom and, one later, of SessionFrom.
const SERVICE_FROM: string = "route_name|header|fixed";
const SESSION_FROM: string = "|cookie|header";

/** "route_name", {"header": token} or {"fixed": service name}. */
function readServiceFrom(next: Config): void {
  if (json.peek() == QUOTE) {
    if (indexOfWord(TEXT, readText(), SERVICE_FROM, 1) != 0)
      json.fail(Fault.ServiceFrom);
    return;
  }
  json.expect(OBJECT);
  const from = indexOfWord(KEY, readKey(), SERVICE_FROM, 3);
  if (from <= <i32>ServiceFrom.RouteName) json.fail(Fault.ServiceFrom);
  next.serviceFrom = from;
  next.serviceLength = from == ServiceFrom.Header ? readToken() : readName();
  next.service = keep(TEXT, next.serviceLength);
  json.expect(OBJECT_END);
}

/** {"cookie": token} or {"header": token}. */
function readSessionFrom(next: Config): void {
  json.expect(OBJECT);
  const from = indexOfWord(KEY, readKey(), SESSION_FROM, 3);
  if (from <= <i32>SessionFrom.Nowhere) json.fail(Fault.SessionFrom);
  next.sessionFrom = from;
  next.sessionLength = readToken();
  next.session = keep(TEXT, next.sessionLength);
  json.expect(OBJECT_END);
}

/** {service: {target: value}}. */
function readValues(next: Config): void {
  next.values = blockAt;
  json.expect(OBJECT);
  if (!json.take(OBJECT_END)) {
    do {
      const service = readKey();
      if (!isName(KEY, service)) json.fail(Fault.Name);
      memory.copy(SERVICE, KEY, service);
      json.expect(OBJECT);
      if (json.take(OBJECT_END)) continue;
      do {
        const target = readKey();
        if (!isName(KEY, target)) json.fail(Fault.Name);
        keepPrefixed(SERVICE, service);
        keepPrefixed(KEY, target);
        keepPrefixed(TEXT, readName());
      } while (json.another());
    } while (json.another());
  }
  next.valuesEnd = blockAt;
}

function readKey(): usize {
  const length = json.readString(KEY, MAX_TEXT);
  json.expect(COLON);
  return length;
}

/** Any printable text of 1 to 255 bytes. */
function readText(): usize {
  const length = json.readString(TEXT, MAX_TEXT);
  if (length == 0) json.fail(Fault.EmptyText);
  return length;
}

/** A header or cookie name. */
function readToken(): usize {
  const length = readText();
  for (let i: usize = 0; i < length; i++) {
    const c = <u32>load<u8>(TEXT + i);
    // The separators that end a name in a Cookie header, and what no header name holds.
    if (
      c <= 32 ||
      c >= 127 ||
      c == 58 ||
      c == 59 ||
      c == 61 ||
      c == 44 ||
      c == 34
    )
      json.fail(Fault.Token);
  }
  return length;
}

function readName(): usize {
  const length = readText();
  if (!isName(TEXT, length)) json.fail(Fault.Name);
  return length;
}

function keep(from: usize, length: usize): usize {
  const to = blockAt;
  if (to + length > blockEnd) {
    json.fail(Fault.TooLarge);
    return to;
  }
  blockAt = putBytes(to, from, length);
  return to;
}

function keepPrefixed(from: usize, length: usize): void {
  store<u16>(LENGTH, <u16>length);
  keep(LENGTH, 2);
  keep(from, length);
}
const LENGTH = memory.data(8, 8);

const OBJECT: u32 = 123;
const OBJECT_END: u32 = 125;
const QUOTE: u32 = 34;
const COLON: u32 = 58;
