import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Chain, openForecaster } from "../../control/forecast/forecaster.ts";
import type { PlannedService } from "../../control/plan/plan.ts";
import { type Inputs, loadInputs } from "../../control/serve/inputs.ts";
import { simulatePlans } from "../../control/serve/simulate.ts";
import { otherEstate } from "./fixture/estates.ts";
import { Rig } from "./fixture/rig.ts";

/**
 * A calendar without windows, and a history whose daily rhythm came two hours earlier in its last four days. The model sees
 * yesterday; the seasonal baseline looks a week back. So on the morning of the fourth such day (and on the next, of which the
 * history knows the first hours) only the model moves load off the small target before the peak is there.
 */
const FLAGS = ["--no-windows", "--shift-peak-days", "4", "--shift-peak-hours", "-2"];
const STEP_MS = 300_000;
const SERVICE = "quotes";
const SMALL = "quotes-site-a";
const FROM = Date.parse("2026-02-27T04:00:00Z");
const TO = Date.parse("2026-02-27T09:00:00Z");
/** What the product promises: so much of a service's share, and earlier by at least so long as the peak's rise takes. */
const LEAST_MOVED_PPM = 30_000;
const LEAST_EARLIER_MS = 30 * 60_000;

const silent = { info() {}, warn() {}, error() {} };

let rig: Rig;
let inputs: Inputs;
before(async () => {
  rig = await Rig.open();
  inputs = await loadInputs(await otherEstate(rig, ...FLAGS), (config) => config.clock!.startMs);
});
after(() => rig.close());

async function plans(
  chain: Chain,
  modelDir: string,
  span = { fromMs: FROM, toMs: TO },
): Promise<{ atMs: number; service: PlannedService }[]> {
  const forecaster = await openForecaster({ modelDir, log: silent });
  const steps: { atMs: number; service: PlannedService }[] = [];
  try {
    const { services, history } = inputs;
    for await (const { atMs, plan } of simulatePlans({
      services,
      history,
      forecaster,
      chain,
      ...span,
      stepMs: STEP_MS,
    })) {
      steps.push({ atMs, service: plan.services.get(SERVICE)! });
    }
  } finally {
    forecaster.close();
  }
  return steps;
}

function target({ targets }: PlannedService): PlannedService["targets"][number] {
  return targets.find(({ name }) => name === SMALL)!;
}

const moved = (service: PlannedService): number => target(service).basePpm - target(service).weightPpm;

describe("a peak that comes earlier than a week ago", () => {
  test("moves planned weights by three points well before the baseline chain would, and says why", async () => {
    const model = await plans("model", inputs.config.model!);
    const baseline = await plans("baseline", inputs.config.model!);
    const first = (steps: typeof model): (typeof model)[number] | undefined =>
      steps.find(({ service }) => moved(service) >= LEAST_MOVED_PPM);
    const early = first(model);
    assert.ok(early !== undefined, "the model chain never moved three points");
    const late = first(baseline)?.atMs ?? TO;
    assert.ok(
      late - early.atMs >= LEAST_EARLIER_MS,
      `${new Date(early.atMs).toISOString()}, baseline ${new Date(late).toISOString()}`,
    );
    // At that time the baseline chain still leaves the target at its base.
    const same = baseline.find(({ atMs }) => atMs === early.atMs)!;
    assert.ok(moved(early.service) - moved(same.service) >= LEAST_MOVED_PPM);

    const causes = target(early.service).causes.filter(({ kind }) => kind === "forecast");
    assert.equal(causes.length, 1);
    assert.match(causes[0]!.text, /^model p90 peak \d+ rps/);
    assert.ok(causes[0]!.effectPpm <= -LEAST_MOVED_PPM, String(causes[0]!.effectPpm));
    assert.match(early.service.why, /model p90 peak/);
  });

  test("the same at the end of the history, where the demo begins", async () => {
    const { startMs } = inputs.config.clock!;
    const span = { fromMs: startMs - 3 * 3_600_000, toMs: startMs + 20 * 60_000 };
    const [model] = (await plans("model", inputs.config.model!, span)).slice(-1);
    const [baseline] = (await plans("baseline", inputs.config.model!, span)).slice(-1);
    assert.ok(moved(model!.service) - moved(baseline!.service) >= LEAST_MOVED_PPM);
  });

  test("without the model the explanation names the fall-back and its reason", async () => {
    const gone = join(rig.folder, "no-model-here");
    const steps = await plans("model", gone, { fromMs: FROM, toMs: FROM + 12 * STEP_MS });
    const baseline = await plans("baseline", inputs.config.model!, { fromMs: FROM, toMs: FROM + 12 * STEP_MS });
    for (const { service } of steps) {
      const [cause] = target(service).causes.filter(({ kind }) => kind === "forecast");
      assert.match(cause!.text, /^seasonal naive p90 .*fall-back from the model: MODEL_/);
    }
    assert.deepEqual(
      steps.map(({ service }) => moved(service)),
      baseline.map(({ service }) => moved(service)),
    );
  });
});
