import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { BallastError } from "../../../common/errors.ts";
import { AccessLogCounter, readAccessLogs } from "./access-log.ts";
import { parseAccessLogLine } from "./access-log-line.ts";

const STEP_MS = 60_000;
const START_MS = Date.UTC(2026, 2, 2, 6);

/** As Envoy's default format writes it. */
function textLine(atMs: number, authority: string, more: { path?: string; agent?: string } = {}): string {
  const { path = "/pay", agent = "curl/8.5.0" } = more;
  return `[${new Date(atMs).toISOString()}] "GET ${path} HTTP/1.1" 200 - 0 12 3 2 "-" "${agent}" "0b9f8c2e-7c11-4a5c-9c0a-1f6f4d2f8a11" "${authority}" "127.0.0.1:8080"`;
}

const jsonLine = (atMs: number, route: string | null): string =>
  JSON.stringify({
    start_time: new Date(atMs).toISOString(),
    route_name: route,
    authority: "shop",
    response_code: 200,
  });

describe("a line", () => {
  test("of Envoy's documentation is understood", () => {
    const line =
      '[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"';
    assert.deepEqual(parseAccessLogLine(line, { by: "authority" }), {
      atMs: Date.UTC(2016, 3, 15, 20, 17, 0, 310),
      service: "locations",
    });
  });

  test("whose path and user agent hold quotes is read from its ends", () => {
    const line = textLine(START_MS, "shop", { path: '/x" 200 - 0 0 "', agent: 'a" "evil" "b' });
    assert.deepEqual(parseAccessLogLine(line, { by: "authority" }), { atMs: START_MS, service: "shop" });
  });

  test("in JSON is read by the usual keys or one's own, with a time as text or number", () => {
    const read = (record: object, more = {}) => parseAccessLogLine(JSON.stringify(record), { by: "route", ...more });
    const found = { atMs: START_MS, service: "payments" };
    assert.deepEqual(read({ "@timestamp": "2026-03-02T06:00:00Z", route: "payments" }), found);
    assert.deepEqual(read({ start_time: START_MS / 1000, route_name: "payments" }), found);
    assert.deepEqual(
      read({ t: START_MS, svc: "payments", route_name: "x" }, { timeField: "t", serviceField: "svc" }),
      found,
    );
    assert.deepEqual(read({ time: START_MS, ":authority": "payments" }, { by: "authority" }), found);
  });

  test("that is something else gets a sentence", () => {
    const cases: [line: string, by: "route" | "authority", message: RegExp][] = [
      ["GET / HTTP/1.1", "route", /neither a JSON object nor/],
      ['{"start_time":', "route", /not JSON/],
      ['{"route_name":"a"}', "route", /no time with its zone in start_time/],
      ['{"start_time":"2026-03-02T06:00:00","route_name":"a"}', "route", /no time with its zone/],
      ['{"start_time":1772431200}', "route", /no service in route_name, route/],
      ['{"start_time":1772431200,"route_name":7}', "route", /no service in route_name, route/],
      [textLine(START_MS, "a"), "route", /no route name/],
      [textLine(START_MS, "a").replace(" 200 - ", " "), "authority", /the fields are not those/],
      [textLine(START_MS, "a").slice(0, -3), "authority", /the fields are not those/],
      ['[2026-13-02T06:00:00.000Z] "GET', "authority", /no time with its zone in the brackets/],
    ];
    for (const [line, by, message] of cases) {
      const answer = parseAccessLogLine(line, { by });
      assert.ok(typeof answer === "string" && message.test(answer), `${line}: ${String(answer)}`);
    }
  });

  test("without a route or an authority is a request all the same", () => {
    const none = { atMs: START_MS, service: null };
    assert.deepEqual(parseAccessLogLine(jsonLine(START_MS, null), { by: "route" }), none);
    assert.deepEqual(parseAccessLogLine(textLine(START_MS, "-"), { by: "authority" }), none);
  });

  test("of any text never throws", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.string().map((s) => `[2026-03-02T06:00:00Z] "${s}`),
        ),
        (line) => {
          parseAccessLogLine(line, { by: "authority" });
        },
      ),
    );
  });

  test("that a client made long and full of quotes takes no longer than its length", () => {
    const one = textLine(START_MS, "shop", { agent: '" 200 - 0 "" "'.repeat(4_000) });
    const started = performance.now();
    parseAccessLogLine(one.slice(0, -1), { by: "authority" });
    // Linear takes about a millisecond, quadratic seconds; generous for a busy machine.
    assert.ok(performance.now() - started < 500);
  });
});

describe("counts", () => {
  test("are rates per step, 0 where only others were heard, a gap where nobody was; the outer steps are left out", () => {
    const counter = new AccessLogCounter({ by: "route", stepMs: STEP_MS });
    let number = 0;
    const heard = (minute: number, route: string, times: number) => {
      for (let i = 0; i < times; i++) counter.line("a.log", ++number, jsonLine(START_MS + minute * STEP_MS + i, route));
    };
    heard(0, "payments", 5);
    heard(4, "payments", 60);
    heard(1, "payments", 120);
    heard(1, "quotes", 6);
    heard(2, "quotes", 30);
    heard(5, "quotes", 1);
    const { history, services } = counter.close("a.log");
    const at = { startMs: START_MS + STEP_MS };
    assert.deepEqual(history.upTo("payments", 1e15), { ...at, values: [120, 0, Number.NaN, 60].map((n) => n / 60) });
    const { values } = history.upTo("quotes", 1e15);
    assert.deepEqual(
      values.map((rps) => Math.round(rps * 60)),
      [6, 30, Number.NaN, 0],
    );
    assert.deepEqual(services[0]!.gaps, [
      { fromMs: START_MS + 3 * STEP_MS, toMs: START_MS + 4 * STEP_MS, reason: "no line of any service" },
    ]);
  });

  test("come from several files, plain and gzip, and malformed lines are named with file and number", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ballast-logs-"));
    try {
      const minutes = (authority: string): string[] =>
        [0, 1, 2, 3].flatMap((m) =>
          Array.from({ length: 30 }, (_, i) => textLine(START_MS + m * STEP_MS + i, authority)),
        );
      const [one, two] = [join(folder, "a.log"), join(folder, "b.log.gz")];
      const broken = minutes("shop");
      broken[6] = "cut off";
      await writeFile(one, `${broken.join("\n")}\n`);
      await writeFile(two, gzipSync(`${minutes("shop").concat(minutes("made-up")).join("\r\n")}`));
      const read = await readAccessLogs([one, two], { by: "authority", stepMs: STEP_MS, services: ["shop"] });
      assert.deepEqual(
        read.history.upTo("shop", 1e15).values.map((rps) => Math.round(rps * 60)),
        [60, 60],
      );
      assert.deepEqual(read.rejected, {
        count: 1,
        first: [{ file: one, line: 7, reason: "neither a JSON object nor Envoy's default text format" }],
      });
      assert.deepEqual(read.notes, ["left out: 120 of other services"]);
      await writeFile(two, gzipSync("x".repeat(10_000)).subarray(0, 20));
      await assert.rejects(readAccessLogs([two], { by: "authority", stepMs: STEP_MS }), /HISTORY_INVALID.*b\.log\.gz/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("of logs that Envoy 1.40 wrote, with quotes in paths and agents, are those of the requests that were sent", async () => {
    const fixture = (name: string) => join(import.meta.dirname, "fixtures", name);
    const count = async (name: string, by: "route" | "authority") => {
      const { history, rejected, notes } = await readAccessLogs([fixture(name)], { by, stepMs: 1000 });
      assert.equal(rejected.count, 0);
      return { of: (service: string) => history.upTo(service, 1e15).values, notes };
    };
    // Between 14:24:59 and 14:25:04 14 requests came: 9 for payments, 5 for quotes.
    const sum = (values: readonly number[]) => values.reduce((total, rps) => total + rps, 0);
    const routes = await count("envoy-json.txt", "route");
    const authorities = await count("envoy-default.txt", "authority");
    assert.deepEqual([routes.of("payments").length, authorities.of("shop.example").length], [5, 5]);
    assert.equal(sum(routes.of("payments")) + sum(routes.of("quotes")), sum(authorities.of("shop.example")));
    assert.deepEqual([sum(routes.of("payments")), sum(routes.of("quotes"))], [9, 5]);
    assert.deepEqual(routes.notes, ["left out: 1 without a route"]);
  });

  test("of files that are something else, too short, or full of made-up names are refused", () => {
    const counted = (lines: (string | null)[], more = {}) => {
      const counter = new AccessLogCounter({ by: "authority", stepMs: STEP_MS, ...more });
      lines.forEach((line, i) => {
        counter.line("x.log", i + 1, line);
      });
      return counter.close("x.log");
    };
    const fails = (lines: (string | null)[], code: string, message: RegExp, more = {}) =>
      assert.throws(
        () => counted(lines, more),
        (error) => error instanceof BallastError && error.code === code && message.test(error.message),
      );
    const good = [0, 1, 2].map((m) => textLine(START_MS + m * STEP_MS, "shop"));
    assert.equal(counted(good).services[0]!.observed, 1);
    fails(["a", "b"], "HISTORY_INVALID", /x\.log:1: neither .*; 2 of 2 lines are malformed/);
    fails([...good, null], "HISTORY_INVALID", /x\.log:4: longer than a line may be/);
    fails(good.slice(1), "HISTORY_INVALID", /fewer than three steps/);
    fails(good, "HISTORY_INVALID", /no line of the services/, { services: ["other"] });
    fails([...good, textLine(START_MS, "b")], "HISTORY_TOO_LARGE", /one service more than the 1/, { maxServices: 1 });
    fails([], "HISTORY_INVALID", /fewer than three steps/);
  });
});
