import assert from "node:assert/strict";
import { test } from "node:test";
import { deploy, set, settle, splitSet, start } from "../test/host/fixtures.ts";

const LEFT = { payments: { payments_a: "" } };

test("a target with an empty value is picked like any other and not written", () => {
  const { envoy, peer } = start({ workers: 1, config: { values: LEFT } });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 243));
  const picks = Array.from({ length: 256 }, () => envoy.request(0, { route: "payments" }));
  assert.equal(picks.filter(({ writes }) => writes === 0).length, 243);
  assert.equal(picks.filter(({ steer }) => steer === "payments_b").length, 13);
  envoy.advance(100);
  assert.equal(envoy.metrics.value("ballast.requests_steered"), 256);
  assert.equal(envoy.metrics.value("ballast.requests_unwritten"), 243);
});

test("only the named target of the named service is left out, and targets may come and go", () => {
  const { envoy, peer } = start({ workers: 1, config: { values: { ...LEFT, other: { x: "7" } } } });
  settle(envoy);
  deploy(
    envoy,
    peer,
    1,
    set({
      payments: { order: { payments_a: 0, payments_c: 256 } },
      quotes: { order: { payments_a: 256 } },
      other: { order: { x: 256 } },
    }),
  );
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_c");
  assert.equal(envoy.request(0, { route: "quotes" }).steer, "payments_a");
  assert.equal(envoy.request(0, { route: "other" }).steer, "7");
});

test("an empty value does not excuse a missing one where others have values", () => {
  const { envoy, peer } = start({ workers: 1, config: { values: { payments: { payments_a: "", payments_c: "3" } } } });
  settle(envoy);
  const nonce = peer.stage(1, set({ payments: { order: { payments_a: 128, payments_b: 64, payments_c: 64 } } }));
  envoy.advance(300);
  assert.match(peer.answer(nonce)!.error, /^VALUE_MISSING: /);
});

test("the debug header names the target that was picked also when nothing was written for it", () => {
  const debug = "x-ballast-debug";
  const { envoy, peer } = start({ workers: 1, config: { values: LEFT, debug_header: debug } });
  settle(envoy);
  deploy(envoy, peer, 7, splitSet("payments", 256));
  const { headers } = envoy.request(0, { route: "payments", headers: { [debug]: "1" } });
  assert.equal(headers.get(debug), "payments payments_a 7");
});

test("where one target has all slots, no session is looked for", () => {
  const { envoy, peer } = start({ workers: 1, config: { values: LEFT, session_from: { cookie: "sid" } } });
  settle(envoy);
  deploy(
    envoy,
    peer,
    1,
    set({
      payments: { order: { payments_a: 256, payments_b: 0 } },
      draining: { order: { d: 256, e: 0 }, sticky: { d: 255, e: 1 } },
    }),
  );
  const vm = envoy.workers[0]!;
  vm.calls.length = 0;
  envoy.request(0, { route: "payments", headers: { cookie: "sid=1" } });
  assert.deepEqual(vm.calls, ["proxy_get_property"]);
  vm.calls.length = 0;
  envoy.request(0, { route: "draining", headers: { cookie: "sid=1" } });
  assert.deepEqual(vm.calls, ["proxy_get_property", "proxy_get_header_map_value", "proxy_replace_header_map_value"]);
});
