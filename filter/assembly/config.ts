// The plugin configuration. Read whole into a spare block and only then put in force, so that a refused update leaves
// the VM as it was. Field by field: docs/reference/filter.md.

import { afterText, isName, isSameText, putBytes } from "./bytes";
import { getProperty, value, valueLength } from "./host";
import * as json from "./json";
import { Fault } from "./json";
import { CONFIG_BYTES, configBlocks, messageBuffer, VALUE_INDEX_BYTES, valueIndex } from "./memory";
import { ascii, indexOfWord } from "./words";
import { hashText } from "./xxh64";

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

/** Texts are pairs of address and length inside the block, the first seven in the order of FIELDS. */
@unmanaged
export class Config {
  cluster: usize;
  clusterLength: usize;
  fleet: usize;
  fleetLength: usize;
  node: usize;
  nodeLength: usize;
  service: usize;
  serviceLength: usize;
  session: usize;
  sessionLength: usize;
  steer: usize;
  steerLength: usize;
  /** The header that asks for what was picked; none without it. */
  debug: usize;
  debugLength: usize;
  serviceFrom: u32;
  sessionFrom: u32;
  maxServices: u32;
  maxSetBytes: u32;
  /** Triples of u16-prefixed texts: service, target, value. Both 0 without `values`. */
  values: usize;
  valuesEnd: usize;
}

// Two blocks: the one in force and the spare; before the first an empty one. [Config][texts][values]; every text comes from at least as many bytes of
// JSON, except that a value triple repeats its service: hence the bound checks in `keep`.
export let config: Config = changetype<Config>(memory.data(80, 8));

let blockAt: usize = 0;
let blockEnd: usize = 0;
// While the JSON lies in the scratch buffer, the message buffer is free: the key, the text and the service being read.
@inline
function keyBuffer(): usize {
  return messageBuffer();
}


@inline
function textBuffer(): usize {
  return messageBuffer() + 256;
}


@inline
function serviceBuffer(): usize {
  return messageBuffer() + 512;
}

/** Parses a configuration; on success it is in force. On failure json.whyNot() says why and nothing has changed. */
export function readConfig(from: usize, length: usize): bool {
  const block = configBlocks() + (changetype<usize>(config) == configBlocks() ? CONFIG_BYTES : 0);
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

  if (next.steerLength == 0) keep(next, STEER, STEER_HEADER, STEER_HEADER_LENGTH);
  // The JSON lies in the buffer that the property calls overwrite: it is no longer needed.
  if (next.fleetLength == 0) keepProperty(next, FLEET, NODE_CLUSTER, 16);
  if (next.nodeLength == 0) keepProperty(next, NODE, NODE_ID, 11);
  if (!json.isOk()) return false;
  config = next;
  indexValues();
  return true;
}

/** Without fleet or node there is nobody to subscribe as. */
export function canSubscribe(): bool {
  return (config.fleetLength != 0) & (config.nodeLength != 0);
}

/** Tables are linked to the values of the configuration in force. */
export function hasValues(): bool {
  return config.values != config.valuesEnd;
}

/** Address of the value to write for a target, 0 when `values` has none. All texts u16-prefixed. */
export function findValue(service: usize, target: usize): usize {
  for (let slot = <u32>hashText(target, hashText(service, 0)); ; slot++) {
    valueSlot = valueIndex() + (((<usize>slot) << 2) & (VALUE_INDEX_BYTES - 1));
    const at = <usize>load<u32>(valueSlot);
    if (at == 0) break;
    const name = afterText(at);
    if (isSameText(at, service) && isSameText(name, target)) return afterText(name);
  }
  return 0;
}
let valueSlot: usize = 0;

/** Open addressing by the hash of service and target, so that a table of many targets is linked in one look at each. */
function indexValues(): void {
  memory.fill(valueIndex(), 0, VALUE_INDEX_BYTES);
  for (let at = config.values; at < config.valuesEnd;) {
    const target = afterText(at);
    if (findValue(at, target) == 0) store<u32>(valueSlot, at);
    at = afterText(afterText(target));
  }
}

/** Keeps a property of Envoy's bootstrap; without a node there the host answers with empty ones. */
function keepProperty(next: Config, field: u32, path: usize, length: usize): void {
  if (getProperty(path, length)) keep(next, field, value(), min(valueLength(), MAX_TEXT));
}

const STEER_HEADER: usize = ascii("x-ballast-target");
const STEER_HEADER_LENGTH: usize = 16;
const NODE_CLUSTER: usize = ascii("xds\0node\0cluster");
const NODE_ID: usize = ascii("xds\0node\0id");

const FIELDS: usize = ascii(
  "control_cluster|fleet|node|service_from|session_from|steer_header|debug_header|values|max_services|max_set_bytes",
);
const FLEET: u32 = 1;
const NODE: u32 = 2;
const SERVICE_FROM: u32 = 3;
const SESSION_FROM: u32 = 4;
const STEER: u32 = 5;
const VALUES: u32 = 7;
const SERVICES: u32 = 8;

function readFields(next: Config): void {
  let seen: u32 = 0;
  json.expect(OBJECT);
  if (json.take(OBJECT_END)) return;
  do {
    const field = <u32>indexOfWord(keyBuffer(), readKey(), FIELDS);
    if (field > 9) {
      json.fail(Fault.UnknownField);
      return;
    }
    if (((seen >> field) & 1) != 0) json.fail(Fault.Twice);
    seen |= 1 << field;
    if (field < SERVICE_FROM) keepText(next, field, readText());
    else if (field < STEER) readSource(next, field);
    else if (field < VALUES) keepText(next, field, readName());
    else if (field == VALUES) readValues(next);
    else if (field == SERVICES) next.maxServices = json.readNumber(1, MAX_SERVICES);
    else next.maxSetBytes = json.readNumber(LEAST_SET_BYTES, MAX_SET_BYTES);
  } while (json.another());
}

// The words stand in the order of ServiceFrom and, one later, of SessionFrom.
const SERVICE_SOURCES: usize = ascii("route_name|header|fixed");
const SESSION_SOURCES: usize = ascii("|cookie|header");

/** service_from: "route_name", {"header": token} or {"fixed": service name}. session_from: {"cookie": token} or {"header": token}. */
function readSource(next: Config, field: u32): void {
  const isService = field == SERVICE_FROM;
  if (isService && json.peek() == QUOTE) {
    if (indexOfWord(textBuffer(), readText(), SERVICE_SOURCES) != 0) json.fail(Fault.Source);
    return;
  }
  json.expect(OBJECT);
  const from = indexOfWord(keyBuffer(), readKey(), isService ? SERVICE_SOURCES : SESSION_SOURCES);
  if (from <= 0) json.fail(Fault.Source);
  if (isService) next.serviceFrom = from;
  else next.sessionFrom = from;
  keepText(next, field, readName());
  json.expect(OBJECT_END);
}

/** {service: {target: value}}; an empty value is one that needs not be written. */
function readValues(next: Config): void {
  next.values = blockAt;
  json.expect(OBJECT);
  if (!json.take(OBJECT_END)) {
    do {
      const service = readKey();
      memory.copy(serviceBuffer(), keyBuffer(), service);
      json.expect(OBJECT);
      if (json.take(OBJECT_END)) continue;
      do {
        const target = readKey();
        if (!isName(serviceBuffer(), service) || !isName(keyBuffer(), target)) json.fail(Fault.Name);
        putPrefixed(serviceBuffer(), service);
        putPrefixed(keyBuffer(), target);
        const value = json.readString(textBuffer(), MAX_TEXT);
        if (value != 0 && !isName(textBuffer(), value)) json.fail(Fault.Name);
        putPrefixed(textBuffer(), value);
      } while (json.another());
    } while (json.another());
  }
  next.valuesEnd = blockAt;
}

function readKey(): usize {
  const length = json.readString(keyBuffer(), MAX_TEXT);
  json.expect(COLON);
  return length;
}

/** Any printable text of 1 to 255 bytes. */
function readText(): usize {
  const length = json.readString(textBuffer(), MAX_TEXT);
  if (length == 0) json.fail(Fault.Name);
  return length;
}

/** A service, target, header or cookie name, or a value: what needs no quoting anywhere. */
function readName(): usize {
  const length = readText();
  if (!isName(textBuffer(), length)) json.fail(Fault.Name);
  return length;
}

function keepText(next: Config, field: u32, length: usize): void {
  keep(next, field, textBuffer(), length);
}

/** Copies a text into the block and points its pair there. */
function keep(next: Config, field: u32, from: usize, length: usize): void {
  const pair = changetype<usize>(next) + ((<usize>field) << 3);
  store<u32>(pair, blockAt);
  store<u32>(pair, length, 4);
  put(from, length);
}

function putPrefixed(from: usize, length: usize): void {
  store<u16>(LENGTH, <u16>length);
  put(LENGTH, 2);
  put(from, length);
}
const LENGTH = memory.data(8, 8);

function put(from: usize, length: usize): void {
  if (blockAt + length > blockEnd) json.fail(Fault.TooLarge);
  else blockAt = putBytes(blockAt, from, length);
}

const OBJECT: u32 = 123;
const OBJECT_END: u32 = 125;
const QUOTE: u32 = 34;
const COLON: u32 = 58;
