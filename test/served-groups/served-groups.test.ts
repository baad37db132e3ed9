import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { freezeWindows } from "../../control/change/calendar.ts";
import { freezeSpans } from "../../control/change/freeze-spans.ts";
import { SqliteStore } from "../../control/checkpoint/sqlite-store.ts";
import { presentCheckpoint } from "../../control/checkpoint/store.ts";
import { loadConfig } from "../../control/config/load-config.ts";
import { buildEstate } from "../../control/estate/build-estate.ts";
import { buildWorld } from "../../control/features/groups/build-world.ts";
import { GROUPS, GroupedInputs, groupColumns } from "../../control/features/groups/grouped-inputs.ts";
import { Past } from "../../control/features/series/past.ts";
import { reachOf, SERIES_FEATURES } from "../../control/features/series/shape.ts";
import { readSeriesModel } from "../../control/forecast/series/series-manifest.ts";
import { readHolidays, readSignals } from "../../control/ingest/covariates/dated-csv.ts";
import { readRouteVisits } from "../../control/ingest/covariates/route-visits.ts";
import { readLoadHistoryCsv } from "../../control/ingest/load-history-csv.ts";
import { readServiceNow } from "../../control/ingest/servicenow.ts";
import { Stand } from "../../control/serve/serve.fixture.ts";
import type { StatusView } from "../../control/serve/status.ts";
import { accessLog, ESTATE, HOLIDAYS, signalsCsv, TIME_ZONE } from "./six-groups.ts";

/*
 * A real control server with a model of all six feature groups, trained and exported by the pipeline (make.ts): it steers, what it was
 * asked with is what the training builder writes for that time, and what is missing or stale is told where the weights are.
 */

const MODEL = resolve(import.meta.dirname, "model");
const STEP_MS = 300_000;
const MINUTE_MS = 60_000;
/** A Monday morning: last night's premiere is over, and who watched it will be published tonight. */
const NOW_MS = Date.UTC(2026, 1, 9, 7, 31);
const ORIGIN_MS = Math.floor(NOW_MS / STEP_MS) * STEP_MS;

interface Covariate {
  source: string;
  state: string;
  text: string;
}
const covariatesOf = (view: StatusView) => (view.forecast as unknown as { covariates: Covariate[] }).covariates;
const sourcesOf = (view: StatusView) => view.services.map(({ forecast }) => forecast?.source);

/** Where the files of one server lie, and its part of ballast.yaml. */
async function filesFor(dir: string) {
  const at = (name: string) => join(dir, name);
  await writeFile(at("holidays.csv"), HOLIDAYS);
  await writeFile(at("signals.csv"), signalsCsv());
  await writeFile(at("access.log"), "");
  return {
    at,
    forecast: {
      holidays: at("holidays.csv"),
      signals: at("signals.csv"),
      accessLog: [at("access.log")],
      timeZone: TIME_ZONE,
      served: at("served"),
    },
  };
}

describe("a server with a model of all six feature groups", () => {
  let dir: string;
  let stand: Stand;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "ballast-served-groups-"));
    const { at, forecast } = await filesFor(dir);
    // Proxies write wall time; the calendar of this server is another.
    const wallMs = Date.now();
    const log = (shownAs: (ms: number) => number) =>
      accessLog(NOW_MS - 75 * MINUTE_MS + 7_000, NOW_MS, 20_000, shownAs);
    await writeFile(
      at("access.log"),
      log((ms) => ms - NOW_MS + wallMs),
    );
    await writeFile(
      at("planning-time.log"),
      log((ms) => ms),
    );
    stand = await Stand.start({
      rate: 1,
      edit: (yaml) => {
        yaml.clock.start = new Date(NOW_MS).toISOString();
        yaml.model = MODEL;
        yaml.forecast = forecast;
        // Too small for its share of what the model says will come.
        yaml.services.quotes.targets["quotes-newhw"].capacityRps = 32;
      },
    });
  });
  after(async () => {
    await stand?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  test("steers by what the model says, and the record names it as who answered", async () => {
    const view = await stand.until(
      "forecasts of the model",
      (now) => now.epoch > 0 && sourcesOf(now).includes("model"),
    );
    assert.deepEqual(
      sourcesOf(view),
      ["model", "model", "model"],
      JSON.stringify(view.services.map((one) => one.forecast)),
    );
    assert.deepEqual(
      covariatesOf(view).map(({ source, state }) => [source, state]),
      [
        ["holidays", "ok"],
        ["signals", "ok"],
        ["accessLog", "ok"],
        ["tickets", "ok"],
      ],
    );
    const { manifest } = await readSeriesModel(MODEL);
    assert.deepEqual(
      manifest.groups.map(({ name }) => name),
      GROUPS.map(({ name }) => name),
    );
    const store = SqliteStore.open({ path: stand.storePath });
    const { record } = (await presentCheckpoint(store, view.epoch))!;
    await store.close();
    assert.equal(record.author.name, `planner with model ${manifest.sha256.slice(0, 12)}`);
    const small = record.services
      .find(({ name }) => name === "quotes")!
      .targets.find(({ name }) => name === "quotes-newhw")!;
    const cause = small.causes.find(({ kind }) => kind === "forecast");
    assert.equal(cause?.ref, "model", JSON.stringify(small.causes));
    assert.ok(cause.effectPpm < -20_000, `the small target gives away some of its share: ${JSON.stringify(small)}`);
  });

  test("asks it with what the training builder writes for the same time, bit for bit, in every group", async () => {
    const { manifest } = await readSeriesModel(MODEL);
    const columns = [...SERIES_FEATURES, ...groupColumns(manifest.groups).map(({ name }) => name)];
    const served = await recorded(join(dir, "served"), columns.length);
    assert.equal(served.about.schema_hash, manifest.schema_hash);
    assert.deepEqual(served.about.columns, columns);

    // What `ballast train` would build of the same files, with its own readers.
    const config = await loadConfig(stand.configPath);
    const records = await readServiceNow(ESTATE);
    const estate = buildEstate({ records, config, nowMs: NOW_MS });
    const history = await readLoadHistoryCsv(join(ESTATE, "load_history.csv"), { stepMs: STEP_MS });
    const { startMs: firstMs, endMs } = history.span("quotes")!;
    const world = buildWorld({
      history,
      estate: { estate, records },
      freezes: freezeSpans(freezeWindows(config, records).windows, firstMs, endMs),
      holidays: await readHolidays(join(dir, "holidays.csv")),
      signals: await readSignals(join(dir, "signals.csv")),
      visits: (await readRouteVisits(join(dir, "planning-time.log"), null)).visits,
      timeZone: TIME_ZONE,
    });
    const inputs = new GroupedInputs(manifest, manifest.groups);
    const expected = new Map<string, number[]>();
    for (const [service, { startMs, values }] of world.loads!) {
      const origin = (ORIGIN_MS - startMs) / STEP_MS;
      assert.ok(origin <= reachOf(manifest), "a server gives it all of this past");
      const past = new Past(values, manifest.season, { firstStep: startMs / STEP_MS });
      const { features } = inputs.prepare(past, startMs, service, world).at(origin);
      for (let h = 0; h < manifest.horizon; h++)
        expected.set(`${service} ${h + 1}`, [...features.subarray(h * columns.length, (h + 1) * columns.length)]);
    }
    assert.equal(served.rows.length, 3, "one step of each service");
    const matched = served.rows.map((row) => {
      // The load of the last step before the origin names the service, the first column the step.
      const found = [...expected].find(([key, one]) => key.endsWith(` ${row[0]}`) && Object.is(one[1], row[1]));
      assert.ok(found !== undefined, `no service has ${row.slice(0, 3)}`);
      for (const [i, value] of row.entries())
        assert.ok(Object.is(value, found[1][i]), `${found[0]}: ${columns[i]} is ${value}, in training ${found[1][i]}`);
      return found;
    });
    assert.equal(new Set(matched.map(([key]) => key.split(" ")[0])).size, 3);
    for (const prefix of ["calendar", "coupling", "change", "velocity", "behaviour", "signal"]) {
      const own = columns.flatMap((name, i) => (name.startsWith(`${prefix}_`) ? [i] : []));
      assert.ok(
        served.rows.some((row) => own.some((i) => row[i] !== 0)),
        `${prefix} says something`,
      );
    }
    // Last night's viewers are in the file that both read, and nobody knows them yet.
    const viewers = columns.indexOf("signal_viewers_last");
    const quotes = matched.find(([key]) => key.startsWith("quotes"))![1];
    assert.equal(quotes[viewers], 6.25, "those of the week before");
  });
});

describe("what a running server is given for its model", () => {
  let dir: string;
  let stand: Stand;
  let writing: NodeJS.Timeout;
  let log: string;
  const RATE = 300;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "ballast-served-groups-"));
    const { at, forecast } = await filesFor(dir);
    log = at("access.log");
    const wallMs = Date.now();
    const early = accessLog(NOW_MS - 90 * MINUTE_MS, NOW_MS, 20_000, (ms) => wallMs + (ms - NOW_MS) / RATE);
    await writeFile(log, early);
    keepWriting();
    stand = await Stand.start({
      rate: RATE,
      edit: (yaml) => {
        yaml.clock.start = new Date(NOW_MS).toISOString();
        yaml.model = MODEL;
        yaml.forecast = forecast;
        // Nothing measures any load: the history that was read is what happens.
        yaml.envoy.admin = ["http://127.0.0.1:1"];
      },
    });
    await stand.until("forecasts of the model", (now) => sourcesOf(now).includes("model"));
  });
  after(async () => {
    clearInterval(writing);
    await stand?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const request = (): string =>
    `${JSON.stringify({ start_time: new Date().toISOString(), path: "/quote/fx", downstream_remote_address: "10.0.0.5:1", route_name: "quotes" })}\n`;
  function keepWriting(): void {
    writing = setInterval(() => void appendFile(log, request()), 50);
  }
  const alarm = (view: StatusView, code: string) => view.alarms.find((one) => one.startsWith(code));

  test("may break: what was read before is used, the alarm says what is wrong with the file, and ends when it is mended", async () => {
    const file = join(dir, "holidays.csv");
    await writeFile(file, `${HOLIDAYS}2026-13-01,no such day,\n`);
    const broken = await stand.until("the alarm", (now) => alarm(now, "COVARIATES_KEPT") !== undefined);
    assert.match(
      alarm(broken, "COVARIATES_KEPT")!,
      /forecast\.holidays: .*holidays\.csv:5: found "2026-13-01", expected a date/,
    );
    assert.deepEqual(new Set(sourcesOf(broken)), new Set(["model"]));
    await writeFile(file, HOLIDAYS);
    const mended = await stand.until("no alarm", (now) => alarm(now, "COVARIATES_KEPT") === undefined);
    assert.deepEqual(new Set(sourcesOf(mended)), new Set(["model"]));
  });

  test("may end: the baselines answer, why stands with every weight, and the model returns with the log, also a rotated one", async () => {
    clearInterval(writing);
    const without = await stand.until("the fall-back", (now) => !sourcesOf(now).includes("model"));
    for (const { forecast } of without.services) {
      assert.equal(forecast?.source, "seasonal_naive");
      assert.match(
        String(forecast?.fallbackReasons[0]),
        /^COVARIATES_STALE: no access log has a line of the last 5 min/,
      );
    }
    assert.match(alarm(without, "COVARIATES_STALE")!, /forecast\.accessLog/);
    await rm(log);
    await writeFile(log, request());
    keepWriting();
    await stand.until("the model", (now) => sourcesOf(now).every((source) => source === "model"));
  });

  test("is named by the refusal when ballast.yaml does not name it", async () => {
    const text = await readFile(stand.configPath, "utf8");
    await writeFile(stand.configPath, text.replace(/^ {2}signals: .*\n/m, ""));
    await stand.restart();
    const view = await stand.until("a refusal", (now) => now.forecast.model === "refused");
    const { code, text: why } = view.forecast.reason as unknown as { code: string; text: string };
    assert.equal(code, "COVARIATES_MISSING");
    assert.match(why, /^its feature group signals needs signals: `forecast\.signals` of ballast\.yaml names no file/);
    const shadow = await stand.call("POST", "/v1/model/shadow", { folder: MODEL, author: "alice", reason: "CHG1" });
    assert.equal(shadow.body.code, "MODEL_REFUSED");
    assert.match(String(shadow.body.message), /COVARIATES_MISSING.*`forecast\.signals`/);
  });
});

async function recorded(folder: string, width: number) {
  const json = async () =>
    JSON.parse(await readFile(join(folder, "served.json"), "utf8")) as { schema_hash: string; columns: string[] };
  let about: Awaited<ReturnType<typeof json>> | null = null;
  for (let tries = 0; tries < 600 && about === null; tries++) {
    about = await json().catch(() => null);
    if (about === null) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(about !== null, "nothing was recorded");
  const { buffer } = new Uint8Array(await readFile(join(folder, "served.bin")));
  const all = new Float32Array(buffer);
  const rows = Array.from({ length: all.length / width }, (_, i) => [...all.subarray(i * width, (i + 1) * width)]);
  return { about, rows };
}
