// The proxy-wasm ABI 0.2.1, as far as this filter uses it: imports and numbers, nothing else.
// https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
// Unused declarations are dropped by the compiler; the released import list is asserted in filter/module.test.ts.

/** Results of host calls. */
export namespace Status {
  export const Ok: u32 = 0;
  export const NotFound: u32 = 1;
  export const Empty: u32 = 7;
  export const CasMismatch: u32 = 8;
}

export namespace LogLevel {
  export const Info: u32 = 2;
  export const Warn: u32 = 3;
  export const Error: u32 = 4;
}

export namespace Buffer {
  export const GrpcReceive: u32 = 5;
  export const PluginConfiguration: u32 = 7;
}

export namespace HeaderMap {
  export const Request: u32 = 0;
}

export namespace MetricType {
  export const Counter: u32 = 0;
  export const Gauge: u32 = 1;
}

/** Filter action: go on with the next filter. */
export const CONTINUE: u32 = 0;

/** A cas of set_shared_data that only creates: CasMismatch when the key is there. (0 would overwrite whatever is there.) */
export const CAS_CREATE: u32 = 0xffffffff;

/** WASI clock id of CLOCK_MONOTONIC. */
export const CLOCK_MONOTONIC: u32 = 1;


@external("env", "proxy_log")
export declare function proxy_log(level: u32, text: usize, length: usize): u32;


@external("env", "proxy_set_tick_period_milliseconds")
export declare function proxy_set_tick_period_milliseconds(period: u32): u32;


@external("env", "proxy_get_property")
export declare function proxy_get_property(path: usize, pathLength: usize, outPointer: usize, outLength: usize): u32;


@external("env", "proxy_get_buffer_bytes")
export declare function proxy_get_buffer_bytes(
  buffer: u32,
  start: usize,
  length: usize,
  outPointer: usize,
  outLength: usize,
): u32;


@external("env", "proxy_get_header_map_value")
export declare function proxy_get_header_map_value(
  map: u32,
  key: usize,
  keyLength: usize,
  outPointer: usize,
  outLength: usize,
): u32;


@external("env", "proxy_get_header_map_pairs")
export declare function proxy_get_header_map_pairs(map: u32, outPointer: usize, outLength: usize): u32;


@external("env", "proxy_replace_header_map_value")
export declare function proxy_replace_header_map_value(
  map: u32,
  key: usize,
  keyLength: usize,
  value: usize,
  valueLength: usize,
): u32;


@external("env", "proxy_get_shared_data")
export declare function proxy_get_shared_data(
  key: usize,
  keyLength: usize,
  outPointer: usize,
  outLength: usize,
  outCas: usize,
): u32;


@external("env", "proxy_set_shared_data")
export declare function proxy_set_shared_data(
  key: usize,
  keyLength: usize,
  value: usize,
  valueLength: usize,
  cas: u32,
): u32;


@external("env", "proxy_register_shared_queue")
export declare function proxy_register_shared_queue(name: usize, nameLength: usize, outToken: usize): u32;


@external("env", "proxy_enqueue_shared_queue")
export declare function proxy_enqueue_shared_queue(token: u32, value: usize, valueLength: usize): u32;


@external("env", "proxy_dequeue_shared_queue")
export declare function proxy_dequeue_shared_queue(token: u32, outPointer: usize, outLength: usize): u32;


@external("env", "proxy_grpc_stream")
export declare function proxy_grpc_stream(
  service: usize,
  serviceLength: usize,
  name: usize,
  nameLength: usize,
  method: usize,
  methodLength: usize,
  metadata: usize,
  metadataLength: usize,
  outToken: usize,
): u32;


@external("env", "proxy_grpc_send")
export declare function proxy_grpc_send(token: u32, message: usize, messageLength: usize, endOfStream: u32): u32;


@external("env", "proxy_grpc_close")
export declare function proxy_grpc_close(token: u32): u32;


@external("env", "proxy_grpc_cancel")
export declare function proxy_grpc_cancel(token: u32): u32;


@external("env", "proxy_define_metric")
export declare function proxy_define_metric(type: u32, name: usize, nameLength: usize, outId: usize): u32;


@external("env", "proxy_increment_metric")
export declare function proxy_increment_metric(id: u32, delta: i64): u32;


@external("env", "proxy_record_metric")
export declare function proxy_record_metric(id: u32, value: i64): u32;


@external("wasi_unstable", "clock_time_get")
export declare function clock_time_get(clock: u32, precision: u64, outTime: usize): u32;


@external("wasi_unstable", "random_get")
export declare function random_get(to: usize, length: usize): u32;
