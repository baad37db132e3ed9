import assert from "node:assert/strict";
import { test } from "node:test";
import { module, moduleBytes, start } from "../test/host/fixtures.ts";

test("the module imports exactly the host calls it uses and exports exactly the callbacks that do something", () => {
  const imports = WebAssembly.Module.imports(module).map(({ module: space, name }) => `${space}.${name}`);
  assert.deepEqual(imports.sort(), [
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_register_shared_queue",
    "env.proxy_replace_header_map_value",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_unstable.clock_time_get",
    "wasi_unstable.random_get",
  ]);
  const exports = WebAssembly.Module.exports(module).map(({ name }) => name);
  assert.deepEqual(exports.sort(), [
    "malloc",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_queue_ready",
    "proxy_on_request_headers",
    "proxy_on_tick",
  ]);
});

test("nothing runs when the module is loaded, before any context exists", () => {
  const START_SECTION = 8;
  const sections: number[] = [];
  for (let at = 8; at < moduleBytes.length; ) {
    sections.push(moduleBytes[at++] as number);
    let length = 0;
    for (let shift = 0, byte = 0x80; byte >= 0x80; shift += 7) {
      byte = moduleBytes[at++] as number;
      length += (byte & 0x7f) << shift;
    }
    at += length;
  }
  assert.ok(sections.includes(10), `sections ${sections.join()}`);
  assert.ok(!sections.includes(START_SECTION), `sections ${sections.join()}`);
});

test("the module stays under 16 KiB", () => {
  assert.ok(moduleBytes.length < 16 * 1024, `${moduleBytes.length} bytes`);
});

test("memory is bounded: 14 MiB per VM with the default limits, and flat afterwards", () => {
  const { envoy } = start({ workers: 1 });
  const before = envoy.workers[0]!.memoryBytes;
  assert.ok(before <= 14 * 1024 * 1024, `${before} bytes`);
  envoy.advance(3_000);
  for (let i = 0; i < 1_000; i++) envoy.request(0, { route: "payments" });
  assert.equal(envoy.workers[0]!.memoryBytes, before);
});
