import assert from "node:assert/strict";
import { test } from "node:test";
import { module } from "../host/fixtures.ts";
import { runTakeover } from "./scenario.ts";

/** More host calls than the callback makes for the sets of this test. */
const MOST_CALLS = 200;

/** By default some of the host calls, with BALLAST_RACE_SEEDS (the long run) every one. */
const STRIDES = { proxy_on_grpc_receive: 4, proxy_on_queue_ready: 6, proxy_on_tick: 16 };

for (const [callback, stride] of Object.entries(STRIDES)) {
  test(`a leader that is replaced while it stands at any host call of ${callback} does no harm when it goes on`, async (t) => {
    const step = process.env.BALLAST_RACE_SEEDS === undefined ? stride : 1;
    let nth = 0;
    for (; nth < MOST_CALLS; nth += step) {
      try {
        if (!(await runTakeover(module, callback, nth))) break;
      } catch (cause) {
        throw new Error(`stopped at host call ${nth} of ${callback}`, { cause });
      }
    }
    t.diagnostic(`stopped at one in ${step} of ${nth} host calls`);
    assert.ok(nth > 5);
  });
}
