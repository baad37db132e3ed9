import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { BallastError } from "../../../common/errors.ts";
import { findPrometheus } from "../../../scripts/fetch-prometheus.ts";
import { loadPrometheus, PROMETHEUS_MAX_POINTS } from "./prometheus.ts";
import { postRange } from "./prometheus-http.ts";

/** The real server, with promtool beside it. Without one these tests are skipped, and the stand-in of prometheus.test.ts has to do. */
const binary = await findPrometheus();

const SAMPLE_S = 30;
const FROM_MS = Date.UTC(2026, 2, 2);
/** Two days; at 10 s steps that is more than one query may hold. */
const SAMPLES = (2 * 86_400) / SAMPLE_S;
/** A hole in the samples of one route, longer than Prometheus looks back. */
const HOLE = { from: 1_000, to: 1_120 };

describe("a real Prometheus", { skip: binary === null && "no Prometheus: npm test fetches one" }, () => {
  let folder: string;
  let child: ChildProcess;
  let url: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ballast-prometheus-"));
    const lines = ["# TYPE requests counter"];
    for (const [route, rps] of [
      ["payments", 50],
      ["quotes", 8],
    ] as const)
      for (const pod of ["a", "b"])
        for (let i = 0; i <= SAMPLES; i++)
          if (route !== "quotes" || i < HOLE.from || i > HOLE.to)
            lines.push(
              `requests_total{route="${route}",pod="${pod}"} ${(i * SAMPLE_S * rps) / 2} ${FROM_MS / 1000 + i * SAMPLE_S}`,
            );
    await writeFile(join(folder, "past.om"), `${lines.join("\n")}\n# EOF\n`);
    await writeFile(join(folder, "prometheus.yml"), "");
    const data = join(folder, "data");
    const promtool = join(dirname(binary!), "promtool");
    await promisify(execFile)(promtool, [
      "tsdb",
      "create-blocks-from",
      "openmetrics",
      "-q",
      join(folder, "past.om"),
      data,
    ]);
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    child = spawn(
      binary!,
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${data}`,
        "--storage.tsdb.retention.time=100y",
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=warn",
      ],
      { stdio: "ignore" },
    );
    for (let i = 0; i < 200; i++) {
      const ready = await fetch(`${url}/-/ready`).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return;
      await pause(100);
    }
    throw new Error("Prometheus did not become ready within 20 s");
  });

  after(async () => {
    if (child.exitCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  });

  test("gives each route's rate in every step but the first, and the hole as a gap", async () => {
    const { history, services } = await loadPrometheus({
      url,
      query: "sum by (route) (rate(requests_total[$step]))",
      label: "route",
      stepMs: 300_000,
      fromMs: FROM_MS,
      toMs: FROM_MS + 2 * 86_400_000,
    });
    assert.deepEqual(history.services.toSorted(), ["payments", "quotes"]);
    const { values } = history.upTo("payments", 1e15);
    assert.equal(values.length, 576);
    for (const rps of values) assert.ok(Math.abs(rps - 50) < 1e-6, String(rps));
    const quotes = services.find(({ service }) => service === "quotes")!;
    const [gap] = quotes.gaps;
    assert.equal(quotes.gaps.length, 1);
    assert.equal(gap!.reason, "no sample");
    // Steps that lie wholly in the hole have no two samples; the steps at its edges may.
    const hole = { fromMs: FROM_MS + HOLE.from * SAMPLE_S * 1000, toMs: FROM_MS + HOLE.to * SAMPLE_S * 1000 };
    assert.ok(Math.abs(gap!.fromMs - hole.fromMs) <= 300_000 && Math.abs(gap!.toMs - hole.toMs) <= 300_000);
  });

  test("is asked in pages for more points than it gives at once", async () => {
    const stepMs = 10_000;
    const { services } = await loadPrometheus({
      url,
      query: "sum by (route) (rate(requests_total[5m]))",
      label: "route",
      stepMs,
      fromMs: FROM_MS,
      toMs: FROM_MS + 2 * 86_400_000,
    });
    const payments = services.find(({ service }) => service === "payments")!;
    assert.equal(payments.observed + payments.missing, 17_280);
    assert.ok(payments.missing <= 3, `${payments.missing} steps before two samples were there`);
  });

  test("refuses more points than the limit, and a query that is none, in its own words", async () => {
    const ask = (query: string, points: number) =>
      postRange({ url }, { query, start: "1772409600", end: String(1772409600 + points), step: "1" });
    assert.equal((await ask("1", PROMETHEUS_MAX_POINTS)).series[0]!.values.length, PROMETHEUS_MAX_POINTS + 1);
    const refused = (message: RegExp) => (error: unknown) =>
      error instanceof BallastError && error.code === "HISTORY_SOURCE_REFUSED" && message.test(error.message);
    await assert.rejects(ask("1", PROMETHEUS_MAX_POINTS + 1), refused(/exceeded maximum resolution of 11,000 points/));
    await assert.rejects(ask("sum by (", 10), refused(/status 400: .*parse error/));
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
