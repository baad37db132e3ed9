import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { BallastError } from "../../../common/errors.ts";
import { loadPrometheus, PROMETHEUS_MAX_POINTS, type PrometheusOptions, rangePages } from "./prometheus.ts";

const STEP_MS = 60_000;
const FROM_MS = Date.UTC(2026, 2, 2);

type Values = (service: string, atMs: number) => string | null;
interface Asked {
  form: URLSearchParams;
  authorization: string | undefined;
}

/**
 * A strict stand-in for the one call that is made. It refuses what Prometheus refuses (method, missing parameters, a range of more than
 * 11,000 points, an end before the start) in Prometheus' words, and answers samples at start, start + step … end, as it does.
 */
class FakePrometheus {
  readonly asked: Asked[] = [];
  /** Answers instead of the samples; taken off one by one. */
  readonly next: ((response: ServerResponse) => void)[] = [];
  readonly #server: Server;

  constructor(services: readonly string[], values: Values, label = "service") {
    this.#server = createServer(async (request, response) => {
      const form = new URLSearchParams(await bodyOf(request));
      this.asked.push({ form, authorization: request.headers.authorization });
      const instead = this.next.shift();
      if (instead !== undefined) return instead(response);
      const bad = (error: string) => reply(response, 400, { status: "error", errorType: "bad_data", error });
      if (request.method !== "POST" || request.url !== "/prom/api/v1/query_range") {
        response.statusCode = 404;
        return response.end("404 page not found");
      }
      const [start, end, step] = ["start", "end", "step"].map((name) => Math.round(Number(form.get(name)) * 1000));
      if (!(start! > 0 && end! > 0)) return bad('invalid parameter "start": cannot parse "" to a valid timestamp');
      if (end! < start!) return bad('invalid parameter "end": end timestamp must not be before start time');
      if (!(step! > 0)) return bad('invalid parameter "step"');
      if ((end! - start!) / step! > PROMETHEUS_MAX_POINTS)
        return bad(
          "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        );
      const result = services.map((service) => {
        const samples: [number, string][] = [];
        for (let at = start!; at <= end!; at += step!) {
          const value = values(service, at);
          if (value !== null) samples.push([at / 1000, value]);
        }
        return { metric: { [label]: service }, values: samples };
      });
      reply(response, 200, {
        status: "success",
        data: { resultType: "matrix", result: result.filter((one) => one.values.length > 0) },
        warnings: ["PromQL info: metric might not be a counter"],
      });
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    servers.push(this.#server);
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/prom/`;
  }
}

const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

const options = (url: string, more: Partial<PrometheusOptions> = {}): PrometheusOptions => ({
  url,
  query: "sum by (service) (rate(requests_total[$step]))",
  label: "service",
  stepMs: STEP_MS,
  fromMs: FROM_MS,
  toMs: FROM_MS + 10 * STEP_MS,
  retryMs: 1,
  ...more,
});

const refused = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof BallastError && error.code === code && message.test(error.message);

test("pages cover every whole step of the span once, and none has more points than are allowed", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e6 }),
      fc.integer({ min: 0, max: 1e6 }),
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 200 }),
      (fromMs, length, stepMs, maxPoints) => {
        fc.pre(length / stepMs < 20_000);
        const toMs = fromMs + length;
        let next = Math.ceil(fromMs / stepMs) * stepMs;
        for (const { firstMs, lastMs } of rangePages({ fromMs, toMs, stepMs }, maxPoints)) {
          assert.equal(firstMs, next + stepMs, "the value of a step is asked for at its end");
          assert.ok(lastMs >= firstMs && (lastMs - firstMs) / stepMs + 1 <= maxPoints && lastMs <= toMs);
          next = lastMs;
        }
        assert.ok(toMs - next < stepMs || toMs < next);
      },
    ),
  );
});

describe("a range", () => {
  test("longer than one query may be is loaded in pages, each value in the step that it covers", async () => {
    const index = (atMs: number) => (atMs - FROM_MS) / STEP_MS;
    const fake = new FakePrometheus(["payments", "quotes"], (service, atMs) =>
      service === "payments" ? String(index(atMs)) : index(atMs) > 15_000 ? "1" : null,
    );
    const url = await fake.open();
    const { history, services, notes, source } = await loadPrometheus(
      options(url, { toMs: FROM_MS + 25_000 * STEP_MS, authorization: "Bearer s3cret" }),
    );
    assert.equal(fake.asked.length, 3);
    assert.ok(fake.asked.every(({ authorization }) => authorization === "Bearer s3cret"));
    assert.equal(fake.asked[0]!.form.get("query"), "sum by (service) (rate(requests_total[60000ms]))");
    const { startMs, values } = history.upTo("payments", 1e15);
    assert.equal(startMs, FROM_MS);
    assert.deepEqual(
      values,
      Array.from({ length: 25_000 }, (_, i) => i + 1),
    );
    assert.deepEqual(services[1]!.gaps, [{ fromMs: FROM_MS, toMs: FROM_MS + 15_000 * STEP_MS, reason: "no sample" }]);
    assert.deepEqual(notes, ["PromQL info: metric might not be a counter"]);
    assert.equal(source, url);
  });

  test("has a gap where the sample is no number, and says which", async () => {
    const fake = new FakePrometheus(["a"], (_, atMs) => ["1", "NaN", "+Inf", "4"][(atMs / STEP_MS - 1) % 4]!);
    const { history, services } = await loadPrometheus(options(await fake.open(), { toMs: FROM_MS + 4 * STEP_MS }));
    assert.deepEqual(history.upTo("a", 1e15).values, [1, Number.NaN, Number.NaN, 4]);
    assert.deepEqual(
      services[0]!.gaps.map(({ reason }) => reason),
      ["the sample is NaN", "the sample is +Inf"],
    );
  });

  test("whose series do not name services, or name one twice, is HISTORY_INVALID", async () => {
    const other = await new FakePrometheus(["a"], () => "1", "pod").open();
    await assert.rejects(
      loadPrometheus(options(other)),
      refused("HISTORY_INVALID", /without the label service: \{pod\}/),
    );
    const twice = await new FakePrometheus(["a", "a"], () => "1").open();
    await assert.rejects(loadPrometheus(options(twice)), refused("HISTORY_INVALID", /two series have service="a"/));
    const negative = await new FakePrometheus(["a"], () => "-1").open();
    await assert.rejects(loadPrometheus(options(negative)), refused("HISTORY_INVALID", /-1 of a at/));
    const empty = await new FakePrometheus(["a"], () => null).open();
    await assert.rejects(loadPrometheus(options(empty)), refused("HISTORY_INVALID", /no reading at all/));
    await assert.rejects(
      loadPrometheus(options(empty, { toMs: FROM_MS + 1 })),
      refused("HISTORY_INVALID", /no whole step/),
    );
    await assert.rejects(
      loadPrometheus(options(empty, { maxPoints: 1, maxPages: 9 })),
      refused("HISTORY_TOO_LARGE", /10 queries/),
    );
  });
});

describe("a server", () => {
  test("that is overloaded is asked again, and given up after the tries", async () => {
    const fake = new FakePrometheus(["a"], () => "1");
    const url = await fake.open();
    const busy = (response: ServerResponse) =>
      reply(response, 503, {
        status: "error",
        errorType: "timeout",
        error: "query timed out in expression evaluation",
      });
    fake.next.push(busy, busy);
    assert.equal((await loadPrometheus(options(url))).services[0]!.observed, 10);
    assert.equal(fake.asked.length, 3);
    fake.next.push(busy, busy, busy);
    await assert.rejects(
      loadPrometheus(options(url)),
      refused("HISTORY_SOURCE_UNREACHABLE", /status 503: query timed out/),
    );
  });

  test("that refuses is not asked again, and its words are passed on, but never the credential", async () => {
    const fake = new FakePrometheus(["a"], () => "1");
    const url = await fake.open();
    const authorization = "Bearer s3cret";
    const cases: [answer: (response: ServerResponse) => void, message: RegExp][] = [
      [
        (r) => reply(r, 400, { status: "error", errorType: "bad_data", error: 'parse error: unexpected ")"' }),
        /status 400: parse error/,
      ],
      [(r) => void r.writeHead(401).end("Unauthorized"), /status 401/],
      [(r) => void r.writeHead(302, { location: "http://127.0.0.1:1/" }).end(), /status 302/],
      [(r) => void r.writeHead(200).end("<html>"), /status 200/],
      [(r) => void r.writeHead(200).end("null"), /status 200/],
      [(r) => reply(r, 200, { status: "success", data: { resultType: "vector", result: [] } }), /not a matrix/],
      [
        (r) =>
          reply(r, 200, {
            status: "success",
            data: { resultType: "matrix", result: [{ metric: {}, histograms: [] }] },
          }),
        /not a matrix/,
      ],
    ];
    for (const [answer, message] of cases) {
      const before = fake.asked.length;
      fake.next.push(answer);
      await assert.rejects(loadPrometheus(options(url, { authorization })), (error: Error) => {
        assert.ok(refused("HISTORY_SOURCE_REFUSED", message)(error), error.message);
        return !error.message.includes("s3cret");
      });
      assert.equal(fake.asked.length, before + 1);
    }
  });

  test("that answers samples which were not asked for is not believed", async () => {
    const fake = new FakePrometheus(["a"], () => "1");
    const url = await fake.open();
    fake.next.push((r) =>
      reply(r, 200, {
        status: "success",
        data: { resultType: "matrix", result: [{ metric: { service: "a" }, values: [[FROM_MS / 1000 + 7, "1"]] }] },
      }),
    );
    await assert.rejects(loadPrometheus(options(url)), refused("HISTORY_INVALID", /which was not asked for/));
  });

  test("that is silent, too talkative or not there ends with its code", async () => {
    const fake = new FakePrometheus(["a"], () => "1");
    const url = await fake.open();
    fake.next.push(() => {});
    await assert.rejects(
      loadPrometheus(options(url, { timeoutMs: 50, tries: 1 })),
      refused("HISTORY_SOURCE_UNREACHABLE", /no answer within 50 ms/),
    );
    await assert.rejects(
      loadPrometheus(options(url, { maxResponseBytes: 100 })),
      refused("HISTORY_TOO_LARGE", /more than 100 bytes/),
    );
    await assert.rejects(
      loadPrometheus(options("http://127.0.0.1:1", { tries: 2 })),
      refused("HISTORY_SOURCE_UNREACHABLE", /ECONNREFUSED|bad port/),
    );
    await assert.rejects(loadPrometheus(options("http://u:p@127.0.0.1:1")), (error: Error) => {
      return refused("USAGE", /without a user or password/)(error) && !error.message.includes("u:p");
    });
    await assert.rejects(loadPrometheus(options("prometheus:9090")), refused("USAGE", /http or https/));
    await assert.rejects(loadPrometheus(options("not a url")), refused("USAGE", /not a URL/));
  });
});
