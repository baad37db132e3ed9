import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse, stringify } from "yaml";
import { dataFolder } from "../../../bench/forecast/gift-eval.ts";
import type { Chain, Forecaster } from "../../../control/forecast/forecaster.ts";
import { openForecaster } from "../../../control/forecast/forecaster.ts";
import { readSignals } from "../../../control/ingest/covariates/dated-csv.ts";
import { Covariates } from "../../../control/serve/covariates.ts";
import { type Inputs, loadInputs } from "../../../control/serve/inputs.ts";
import { videoLoadCsv } from "./video-load.ts";

/*
 * The example of docs/reference/features.md: a weekly premiere season as dated signals, trained on (make.ts) and served. The dates and the
 * viewers are the published ones of a season in 2016.
 */

const here = import.meta.dirname;
const SIGNALS = join(here, "signals.csv");
const FACTS = join(dataFolder(), "behaviour/got_episodes_facts.csv");
const log = { info: () => undefined, warn: () => undefined };
/** Ten minutes past eight in the evening in New York, fifty minutes before an episode would begin. */
const FINALE_MS = Date.parse("2016-06-26T20:10:00-04:00");
const WEEK_MS = 7 * 86_400_000;
/** Of the forecast's steps: nine o'clock. */
const NINE = 10;

describe("a weekly premiere season as signals", () => {
  let dir: string;
  let inputs: Inputs;
  const opened: { forecaster: Forecaster; world: Covariates }[] = [];
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "ballast-premieres-"));
    const csv = join(dir, "video.csv");
    await writeFile(csv, videoLoadCsv(await readSignals(SIGNALS), FINALE_MS + WEEK_MS + 3 * 3_600_000));
    const yaml = parse(await readFile("demo/ballast.yaml", "utf8"));
    delete yaml.clock;
    yaml.services = { video: yaml.services.quotes };
    yaml.history = { csv, step: "5m" };
    yaml.model = join(here, "model");
    yaml.forecast = { signals: SIGNALS };
    await writeFile(join(dir, "ballast.yaml"), stringify(yaml));
    inputs = await loadInputs(join(dir, "ballast.yaml"), () => FINALE_MS);
  });
  after(async () => {
    for (const { forecaster, world } of opened) {
      forecaster.close();
      await world.stop();
    }
    await rm(dir, { recursive: true, force: true });
  });

  /** Quantiles at nine o'clock as they are forecast at ten past eight. */
  async function atNine(
    nowMs: number,
    chain: Chain = "model",
    signals = SIGNALS,
  ): Promise<{ source: string; values: number[] }> {
    const { config } = inputs;
    const own = { ...inputs, config: { ...config, forecast: { ...config.forecast, signals } } };
    const clock = { nowMs: () => nowMs, monotonicMs: () => performance.now() };
    const world = await Covariates.open({ inputs: own, clock, timeOf: (ms) => ms, log });
    const forecaster = await openForecaster({ modelDir: config.model!, world, log });
    opened.push({ forecaster, world });
    const forecast = (await forecaster.forecast(inputs.history, ["video"], nowMs, { chain })).get("video")!;
    return { source: forecast.source, values: forecast.values.rows().map((row) => row[NINE]!) };
  }
  const observed = (nowMs: number) => inputs.history.tail("video", nowMs + (NINE + 1) * 300_000, 1)[0]!;

  test("is in the quantiles that plans are made from before it begins, by its date alone", async () => {
    const came = observed(FINALE_MS);
    const [median, p90, p99] = (await atNine(FINALE_MS)).values.slice(1) as [number, number, number];
    assert.ok(Math.abs(p99 / came - 1) < 0.2, `${p99} for ${came}`);
    // The same file without the row of tonight: an ordinary evening.
    const hidden = join(dir, "hidden.csv");
    await writeFile(hidden, (await readFile(SIGNALS, "utf8")).replace(/^premiere,video,2016-06-26.*\n/m, ""));
    const without = (await atNine(FINALE_MS, "model", hidden)).values;
    assert.ok(p90 > 1.25 * without[2]! && p99 > 1.25 * without[3]! && median > without[1]!, `${without}`);
  });

  test("is not expected in the week after its end, when a week ago is no guide", async () => {
    const nowMs = FINALE_MS + WEEK_MS;
    const quiet = observed(nowMs);
    const model = await atNine(nowMs);
    assert.equal(model.source, "model");
    assert.ok(Math.abs(model.values[1]! / quiet - 1) < 0.15, `${model.values} for ${quiet}`);
    const naive = await atNine(nowMs, "baseline");
    assert.equal(naive.source, "seasonal_naive");
    assert.ok(naive.values[1]! > 2 * quiet, "the baseline waits for an episode that is none");
  });

  const skip = existsSync(FACTS) || (process.env.CI ?? "") !== "" ? false : `no ${FACTS}`;
  test("has the dates and viewers of the published list", { skip }, async () => {
    const facts = (await readFile(FACTS, "utf8")).split("\n").filter((line) => /-2016,/.test(line));
    const rows = await readSignals(SIGNALS);
    const viewers = rows.filter(({ signal }) => signal === "viewers");
    assert.deepEqual(
      viewers.map(({ value }) => value),
      facts.map((line) => Number(line.split(",")[5])),
    );
    for (const [i, { startMs, knownAtMs }] of viewers.entries()) {
      assert.equal(Date.parse(`${facts[i]!.split(",")[4]} 20:30 GMT-0400`), startMs);
      assert.ok(knownAtMs > startMs);
    }
    assert.equal(rows.length, 2 * facts.length);
  });
});
