import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Answer } from "../e2e/fixture/client.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { Stand } from "./fixture/stand.ts";
import { TRAP_HEADER, trappingFilter } from "./fixture/trapping-filter.ts";

const requirements = await requireEnvoy();

const to = (target: string) => ({ payments: { weights: { "payments-a": 0, "payments-b": 0, [target]: 100 } } });
const kind = ({ status, route, servedBy }: Answer): string => `${status} ${route} ${servedBy}`;

describe("a worker that traps under FAIL_RELOAD, beside one that does not", { skip: requirements.skip }, () => {
  let folder: string;
  let stand: Stand;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ballast-trap-"));
    stand = await Stand.start({
      requirements: { ...requirements, wasmPath: await trappingFilter(folder) },
      routes: { form: "header-route" },
    });
    await stand.fleet.release(to("payments-b"));
  });
  after(async () => {
    await stand?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Traps the worker; returns what it answered until the first good answer, and that one. */
  async function trap(): Promise<{ bad: number[]; good: string }> {
    assert.equal((await stand.client.ask("payments", { [TRAP_HEADER]: "1" })).status, 503);
    const bad: number[] = [];
    let good = "";
    await until("the worker is loaded anew", async () => {
      const answer = await stand.client.ask("payments");
      if (answer.status !== 200) bad.push(answer.status);
      else good = kind(answer);
      return good !== "";
    });
    return { bad: [...new Set(bad)], good };
  }

  test("takes the set in force from Envoy's memory before its first request", async () => {
    assert.deepEqual(
      [...new Set((await stand.client.askInTurn("payments", 20)).map(kind))],
      ["200 steered payments-b"],
    );
    const { bad, good } = await trap();
    // While Envoy's back-off after the last load is not over, this worker answers 503 to all.
    assert.deepEqual(
      bad.filter((status) => status !== 503),
      [],
    );
    assert.equal(good, "200 steered payments-b");
    assert.ok([...(await stand.envoy.stats("vm_reload_success")).values()].some((count) => count > 0));
  });

  test("leaves that set alone when it traps again at once, and takes the next", async () => {
    // Its second life ticked less than a hundred times: the set is under suspicion.
    const { good } = await trap();
    assert.match(good, /^200 static /);
    await until("the gauge", async () => (await stand.envoy.stat("wasmcustom.ballast.seed_quarantined")) === 1);
    assert.match(await stand.envoy.log(), /ballast: SEED_QUARANTINED/);
    await stand.fleet.release(to("payments-a"));
    assert.deepEqual(
      [...new Set((await stand.client.askInTurn("payments", 20)).map(kind))],
      ["200 steered payments-a"],
    );
    await until("the gauge", async () => (await stand.envoy.stat("wasmcustom.ballast.seed_quarantined")) === 0);
  });

  test("all through it the stream and the epochs of this Envoy go on", () => {
    assert.equal(stand.fleet.xds.streams(), 1);
    assert.equal(stand.fleet.epoch, 2);
  });
});
