/** Numbers and signatures of proxy-wasm ABI 0.2.1. https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1 */
export const Status = {
  Ok: 0,
  NotFound: 1,
  BadArgument: 2,
  ParseFailure: 4,
  InvalidMemoryAccess: 6,
  Empty: 7,
  CasMismatch: 8,
  InternalFailure: 10,
} as const;

/** Parameter types of every import that this host serves, `I` for i64; all return i32. Any other import fails the load. */
export const IMPORTS: Record<string, Record<string, string>> = {
  env: {
    proxy_log: "iii",
    proxy_set_tick_period_milliseconds: "i",
    proxy_get_property: "iiii",
    proxy_get_buffer_bytes: "iiiii",
    proxy_get_header_map_value: "iiiii",
    proxy_get_header_map_pairs: "iii",
    proxy_replace_header_map_value: "iiiii",
    proxy_get_shared_data: "iiiii",
    proxy_set_shared_data: "iiiii",
    proxy_register_shared_queue: "iii",
    proxy_enqueue_shared_queue: "iii",
    proxy_dequeue_shared_queue: "iii",
    proxy_grpc_stream: "iiiiiiiii",
    proxy_grpc_send: "iiii",
    proxy_grpc_close: "i",
    proxy_grpc_cancel: "i",
    proxy_define_metric: "iiii",
    proxy_increment_metric: "iI",
    proxy_record_metric: "iI",
  },
  wasi_unstable: {
    clock_time_get: "iIi",
    random_get: "ii",
  },
};

/** Exports that the host may call, with their parameter counts; `memory` apart. Any other export is a mistake to be told. */
export const EXPORTS: Record<string, number> = {
  _initialize: 0,
  malloc: 1,
  proxy_abi_version_0_2_1: 0,
  proxy_on_configure: 2,
  proxy_on_tick: 1,
  proxy_on_queue_ready: 2,
  proxy_on_request_headers: 3,
  proxy_on_grpc_receive: 3,
  proxy_on_grpc_close: 3,
};

/** Calls allowed while `_initialize` runs; proxy-wasm-cpp-host traps on all others. */
export const ALLOWED_IN_INITIALIZE: ReadonlySet<string> = new Set(["proxy_log", "clock_time_get", "random_get"]);
/** Calls allowed while `malloc` runs, nested in another host call. */
export const ALLOWED_IN_MALLOC: ReadonlySet<string> = new Set(["proxy_log", "clock_time_get"]);

export const MetricType = { Counter: 0, Gauge: 1, Histogram: 2 } as const;
