import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Load } from "./fixture/client.ts";
import { connectionManager, editFilterConfig, type Json } from "./fixture/envoy.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { BASE, type SteeredEnvoy, startSteeredEnvoy } from "./fixture/steered-envoy.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();

/** Falls to zero when the drain time after an update is over (see the flags of the fixture). */
const DRAINING = "listener_manager\\.total_(filter_chains|listeners)_draining";
/** A second stream would be opened within this time: the filter begins anew after 100 ms to 3 s. */
const SECOND_STREAM_MS = 4000;

describe("two updates of the filter's configuration under load, with epochs in flight", {
  skip: requirements.skip,
}, () => {
  let stand: SteeredEnvoy;
  let load: Load;
  let pushing = true;
  let pushes: Promise<void>;
  const releases: { epoch: number; atMs: number }[] = [];

  before(async () => {
    stand = await startSteeredEnvoy(requirements, { concurrency: 2, lds: true });
    await release(60);
    load = new Load(stand.rig, { port: stand.envoy.port, services: ["payments", "quotes"], rps: 150, cookies: 100 });
    // One epoch after the other for as long as the updates last: one is always in flight.
    pushes = (async () => {
      for (let i = 0; pushing; i++) {
        await release(40 + 10 * (i % 3));
        releases.push({ epoch: stand.fleet.epoch, atMs: performance.now() });
      }
    })();
    // A failure is reported where `pushes` is awaited.
    pushes.catch(() => {});
  });
  after(() => stand?.close());

  async function release(a: number): Promise<void> {
    await stand.fleet.release({
      payments: { weights: { "payments-a": a, "payments-b": 100 - a } },
      quotes: { weights: { "quotes-a": a, "quotes-b": 100 - a } },
    });
  }

  const draining = async (): Promise<number> =>
    [...(await stand.envoy.stats(DRAINING)).values()].reduce((sum, value) => sum + value, 0);

  async function updated(edit: (listener: Json) => void): Promise<void> {
    const epoch = stand.fleet.epoch;
    await stand.envoy.updateListener(edit);
    assert.equal(await draining(), 1);
    // While the old filter chain drains, the old root of the filter ticks beside the new one.
    await until("three epochs after the update", () => stand.fleet.epoch >= epoch + 3);
    await until("the old filter chain is gone", async () => (await draining()) === 0);
    const gone = stand.fleet.epoch;
    await until("three epochs after the old root's end", () => stand.fleet.epoch >= gone + 3);
  }

  test("one that needs no new layout: another session cookie", async () => {
    await updated((listener) => {
      editFilterConfig(listener, (config) => {
        config.session_from = { cookie: "other" };
      });
    });
  });

  test("one that lays the memory out anew, in a listener that is replaced as a whole", async () => {
    await updated((listener) => {
      editFilterConfig(listener, (config) => {
        config.session_from = { cookie: "sid" };
        config.max_services = 64;
        config.max_set_bytes = 1 << 20;
      });
      // Envoy swaps the filter chains alone when nothing else of a listener differs.
      listener.per_connection_buffer_limit_bytes = 65_536;
    });
  });

  test("no epoch was refused or timed out on the way, and they go on", async () => {
    const last = stand.fleet.epoch;
    await until("further epochs", () => stand.fleet.epoch >= last + 3);
    pushing = false;
    await pushes;
    assert.ok(releases.length > 6, `${releases.length} epochs`);
  });

  test("exactly one stream is left, and the epoch in force is the last one", async () => {
    const { fleet, envoy } = stand;
    await until("one stream", () => fleet.xds.streams() === 1);
    assert.deepEqual(
      fleet.xds.fleet.nodes().map(({ id, connected }) => [id, connected]),
      [["edge-1", true]],
    );
    await until("the gauge of the lowest epoch", async () => {
      return (await envoy.stat("wasmcustom.ballast.epoch_active")) === fleet.epoch;
    });
    await sleep(SECOND_STREAM_MS);
    assert.equal(fleet.xds.streams(), 1);
  });

  test("no request failed, none leaked the header, no VM trapped", async () => {
    await load.stop();
    assert.ok(load.answers.length > 500, `${load.answers.length} requests`);
    assert.deepEqual(load.failed, []);
    assert.equal(stand.upstreams.leaked, 0);
    assert.deepEqual(await stand.envoy.traps(), []);
  });

  test("all requests were steered, from the first activation on", () => {
    const unsteered = load.answers.filter(({ route }) => route !== "steered");
    assert.equal(unsteered.length, 0, JSON.stringify(unsteered.slice(0, 3)));
    assert.deepEqual(Object.keys(BASE).sort(), [...new Set(load.answers.map(({ service }) => service))].sort());
  });

  test("a second filter with other settings in the same vm_id is refused, and told what to do", async () => {
    const { envoy, fleet } = stand;
    const rename = (listener: Json, name: string, cookie: string): void => {
      connectionManager(listener).http_filters[0].typed_config.config.name = name;
      editFilterConfig(listener, (config) => {
        config.session_from = { cookie };
      });
    };
    const refused = envoy.updateListener((listener) => rename(listener, "another", "third"));
    await assert.rejects(refused, /vm_id in use: take another/);
    await release(30);
    assert.equal(fleet.xds.streams(), 1);
  });

  test("a configuration that is not valid is refused, and what serves stays", async () => {
    const { envoy, client, fleet } = stand;
    const edit = (listener: Json): void => {
      editFilterConfig(listener, (config) => {
        config.max_servcies = 1;
      });
    };
    await assert.rejects(envoy.updateListener(edit), /unknown field/);
    await release(30);
    assert.deepEqual([...new Set((await client.askInTurn("quotes", 50)).map(({ route }) => route))], ["steered"]);
    assert.equal(fleet.xds.streams(), 1);
  });
});
