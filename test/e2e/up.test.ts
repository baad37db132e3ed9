import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadConfig } from "../../control/config/load-config.ts";
import { otherEstate } from "./fixture/estates.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { Rig } from "./fixture/rig.ts";
import { assertNothingLost, type DemoRun, runDemo } from "./fixture/up.ts";

const { skip } = await requireEnvoy();
const PORT_BASE = 23_100;
const DEMO = "demo/ballast.yaml";

describe("the demo, judged by what its client saw", { skip }, () => {
  let rig: Rig;
  before(async () => {
    rig = await Rig.open();
  });
  after(() => rig?.close());

  async function run(config: string, ...flags: string[]): Promise<DemoRun> {
    const { startMs, rate } = (await loadConfig(config)).clock!;
    return runDemo({ portBase: PORT_BASE, startMs, rate, flags: ["--config", config, ...flags] });
  }

  test("on static weights the change in the calendar costs requests, and nothing stays behind", async () => {
    // The same demo, begun a quarter of an hour (3 s) before the window opens.
    const config = join(rig.folder, "late.yaml");
    const text = await readFile(DEMO, "utf8");
    assert.match(text, /start: 2026-03-02T06:05:00Z/);
    await writeFile(config, text.replace("start: 2026-03-02T06:05:00Z", "start: 2026-03-02T08:45:00Z"));
    const demo = await run(config, "--no-ballast", "--seconds", "8");
    const result = await demo.result;
    assert.ok(result.errors_total > 0);
    assert.equal(result.services.payments?.targets["payments-site-a"]?.errors, 0);
    assert.ok(result.services.payments!.targets["payments-site-b"]!.errors > 0);
    assert.deepEqual(result.epochs, []);
    assert.equal(result.first_steered_s, null);
    assert.deepEqual(await demo.leftBehind(), []);
  });

  test("with Ballast the same change costs nothing: moved away before it, home again by second 95", async () => {
    const demo = await run(DEMO, "--seconds", "100");
    const away = await demo.planAt(35);
    for (const target of ["payments-site-b", "ledger-site-b"]) assert.equal(away.get(target)?.planned, 0, target);
    const home = await demo.planAt(95);
    for (const [target, { planned, base }] of home) {
      if (/^(payments|ledger)-/.test(target)) assert.equal(planned, base, target);
    }
    const result = await demo.result;
    assertNothingLost(result);
    assert.ok(result.sessions_moved > 0);
    assert.ok(result.first_steered_s! < 120);
    assert.ok(result.epochs.some((epoch) => epoch.at_s > 0 && epoch.at_s < 35));
    assert.ok(result.epochs.some((epoch) => epoch.at_s > 65));
    assert.equal(result.forecast.source, "model");
    assert.ok(result.forecast.mase! < result.forecast.seasonal_naive_mase!);
    assert.deepEqual(await demo.leftBehind(), []);
  });

  test("another calendar, with an earlier and shorter window on the same path: the same", async () => {
    const demo = await run(await otherEstate(rig, "--window", "18:26"), "--seconds", "50", "--seed", "2");
    const away = await demo.planAt(18);
    for (const target of ["payments-site-b", "ledger-site-b"]) assert.equal(away.get(target)?.planned, 0, target);
    const result = await demo.result;
    assertNothingLost(result);
    assert.ok(result.epochs.some((epoch) => epoch.at_s > 0 && epoch.at_s < 18));
    assert.ok(result.epochs.some((epoch) => epoch.at_s > 26));
    assert.deepEqual(await demo.leftBehind(), []);
  });
});
