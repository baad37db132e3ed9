import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { readHistoryFiles } from "./history-files.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-history-files-"));
after(() => rm(scratch, { recursive: true, force: true }));
const STEP_MS = 300_000;
const startMs = Date.UTC(2026, 2, 2);
const time = (step: number): string => new Date(startMs + step * STEP_MS).toISOString();
let files = 0;

async function file(text: string, ending = "csv"): Promise<string> {
  const path = join(scratch, `${files++}.${ending}`);
  await writeFile(path, text);
  return path;
}

function answer(loads: Record<string, number[]>, label = "service", stepMs = STEP_MS): string {
  const result = Object.entries(loads).map(([service, values]) => ({
    metric: { [label]: service },
    values: values.map((value, i) => [(startMs + (i + 1) * stepMs) / 1000, String(value)]),
  }));
  return JSON.stringify({ status: "success", data: { resultType: "matrix", result } });
}

/** Requests of the shop: one before and one behind the steps that count. */
function log(perStep: number[]): string {
  return [1, ...perStep, 1]
    .flatMap((count, i) =>
      Array.from({ length: count }, (_, k) =>
        JSON.stringify({
          start_time: new Date(startMs + (i - 1) * STEP_MS + k * 1000).toISOString(),
          route_name: "shop",
        }),
      ),
    )
    .join("\n");
}

const read = async (...texts: string[]) => readHistoryFiles(texts, STEP_MS);
const loads = async (service: string, ...paths: string[]) => [
  ...(await read(...paths)).history.upTo(service, Number.MAX_SAFE_INTEGER).values,
];

describe("files of past load", () => {
  test("are told apart by how they begin, and hold the same load in every form", async () => {
    const wide = `time,shop\n${[30, 60, 90].map((rps, i) => `${time(i)},${rps / 300}`).join("\n")}\n`;
    const long = `service,rps,time\n${[90, 60, 30].map((rps, i) => `shop,${rps / 300},${time(2 - i)}`).join("\n")}\n`;
    for (const path of [
      await file(wide),
      await file(`\ufeff${wide}`),
      await file(long),
      await file(answer({ shop: [0.1, 0.2, 0.3] }), "json"),
      await file(log([30, 60, 90]), "json"),
    ]) {
      const { history } = await read(path);
      assert.deepEqual(history.services, ["shop"]);
      const { startMs: from, values } = history.upTo("shop", Number.MAX_SAFE_INTEGER);
      assert.equal(from, startMs);
      assert.deepEqual(
        [...values].map((rps) => Number(rps.toFixed(6))),
        [0.1, 0.2, 0.3],
      );
    }
  });

  test("count together where they are logs of several Envoys, and name their services by the only label of an answer", async () => {
    const halves = [await file(log([30, 60, 90]), "log"), await file(log([30, 0, 30]), "log")];
    assert.deepEqual(
      (await loads("shop", ...halves)).map((rps) => Number((rps * 300).toFixed(6))),
      [60, 60, 120],
    );
    const saved = await file(answer({ shop: [1, 2, 3], bank: [4, 5, 6] }, "route"), "json");
    assert.deepEqual(await loads("bank", saved, await file(`time,api\n${time(0)},1\n`)), [4, 5, 6]);
  });

  test("are read whole, also where one reaches further back than a server keeps and the other is short", async () => {
    const steps = 21_000;
    const year = await file(`time,shop\n${Array.from({ length: steps }, (_, i) => `${time(i)},${i}`).join("\n")}\n`);
    const brief = await file(`time,api\n${time(steps - 1)},1\n`);
    assert.equal((await loads("shop", year)).length, steps);
    assert.equal((await loads("shop", brief, year))[0], 0);
    assert.deepEqual(await loads("api", brief, year), [1]);
  });

  test("hold times and numbers as programs write them", async () => {
    const cells = ["49.30127018922193", "NaN", "9.7e-05", "1", "2"];
    const pandas = cells.map((cell, i) => `${time(i).replace("T", " ").replace(".000Z", "+00:00")},${cell}\n`);
    const written = await file(`time,shop\n${pandas.join("")}`);
    assert.deepEqual(await loads("shop", written), [49.30127018922193, Number.NaN, 9.7e-5, 1, 2]);
    const seconds = `time,"shop"\n${startMs / 1000},"1.5"\n${startMs / 1000 + 300},2\n`;
    assert.deepEqual(await loads("shop", await file(seconds)), [1.5, 2]);
  });

  test("are refused where they hold no load, or a service twice", async () => {
    const wide = await file(`time,shop\n${time(0)},1\n${time(1)},1\n`);
    await assert.rejects(
      read(wide, await file(answer({ shop: [1] }), "json")),
      /HISTORY_INVALID: .*shop, which an earlier/,
    );
    await assert.rejects(read(scratch), /HISTORY_INVALID: .* is no file/);
    await assert.rejects(read(await file('{"status":"error","error":"bad query"}', "json")), /REFUSED: .*bad query/);
    await assert.rejects(read(await file('[2026-03-02T00:00:00.000Z] "GET / HTTP/1.1" 200', "log")), /HISTORY_INVALID/);
    const minutes = await file(answer({ shop: [1, 2, 3] }, "service", 60_000), "json");
    await assert.rejects(read(minutes), /expected multiples of 300 s: query with that start and step/);
    const hourly = `time,shop\n${Array.from({ length: 20 }, (_, i) => `${time(12 * i)},1`).join("\n")}\n`;
    await assert.rejects(read(await file(hourly)), /shop: most readings are 60 minutes apart; expected one every 5/);
  });
});
