import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { EnvoyAdminScraper } from "./envoy-admin-scraper.ts";
import { pollTelemetry } from "./poll-telemetry.ts";
import type { TelemetrySnapshot } from "./telemetry.ts";

const file = (name: string): string => readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8");

/** An admin endpoint on loopback; `paths` maps a path to what it answers. */
async function admin(
  t: TestContext,
  paths: { [path: string]: string | RequestListener },
): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url!);
    const answer = paths[new URL(request.url!, "http://x").pathname];
    if (answer === undefined) response.writeHead(404).end();
    else if (typeof answer === "string") response.end(answer);
    else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** An address on which nobody listens any more. */
async function nobody(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

const sound = { "/ready": "LIVE\n", "/clusters": file("clusters"), "/stats": file("stats-first") };

async function reasonOf(url: string, options = {}): Promise<string> {
  const answer = await new EnvoyAdminScraper(options).read(url);
  assert.ok("reason" in answer, "expected a failed reading");
  return answer.reason;
}

test("a sound endpoint is read with one request each for readiness, clusters and statistics, and asked its name once", async (t) => {
  const { url, seen } = await admin(t, { ...sound, "/server_info": JSON.stringify({ node: { id: "edge-1" } }) });
  const scraper = new EnvoyAdminScraper();
  const answer = await scraper.read(url);
  assert.ok("clusters" in answer);
  assert.equal(answer.node, "edge-1");
  assert.equal(answer.clusters.get("payments-site-a")!.stats.completed, 105);
  assert.equal(answer.clusters.get("payments-site-b")!.stats.ejected, 5);
  assert.equal(answer.clusters.get("payments-site-a")!.stats.latency.get(48)!.count, 31);
  assert.deepEqual(
    seen.map((path) => path.split("?")[0]),
    ["/ready", "/clusters", "/stats", "/server_info"],
  );
  await scraper.read(url);
  assert.equal(seen.filter((path) => path === "/server_info").length, 1);
});

test("an endpoint that does not say who it is is read all the same", async (t) => {
  const { url } = await admin(t, sound);
  const answer = await new EnvoyAdminScraper().read(url);
  assert.ok("clusters" in answer);
  assert.equal(answer.node, null);
});

test("an Envoy that is still initialising is not read, for all its hosts would look dead", async (t) => {
  const { url, seen } = await admin(t, {
    ...sound,
    "/ready": (_, response) => response.writeHead(503).end("INITIALIZING\n"),
  });
  assert.match(await reasonOf(url), /not ready: INITIALIZING/);
  assert.deepEqual(seen, ["/ready"]);
});

test("an Envoy that drains is still read", async (t) => {
  const { url } = await admin(t, { ...sound, "/ready": (_, response) => response.writeHead(503).end("DRAINING\n") });
  assert.ok("clusters" in (await new EnvoyAdminScraper().read(url)));
});

test("what goes wrong at an endpoint is told in one line", async (t) => {
  assert.equal(await reasonOf(await nobody()), "fetch failed (ECONNREFUSED)");
  assert.equal(await reasonOf("http://127.0.0.1:9"), "fetch failed (bad port)");
  assert.match(await reasonOf("not an address"), /Invalid URL/);
  const { url: notJson } = await admin(t, { ...sound, "/clusters": "<html>" });
  assert.equal(await reasonOf(notJson), "/clusters answered something that is not JSON");
  const { url: array } = await admin(t, { ...sound, "/stats": "[[[[]]]]" });
  assert.equal(await reasonOf(array), "the answer to /stats is not a list of statistics");
  const { url: missing } = await admin(t, { "/ready": "LIVE" });
  assert.equal(await reasonOf(missing), "/clusters answered with status 404");
  const { url: moved } = await admin(t, {
    ...sound,
    "/stats": (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  });
  assert.match(await reasonOf(moved), /fetch failed/);
});

test("an answer without end is cut at the limit, and one that never comes at the timeout", async (t) => {
  const { url: endless } = await admin(t, {
    ...sound,
    "/clusters": (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384, 32)));
      };
      response.on("drain", more);
      more();
    },
  });
  assert.equal(await reasonOf(endless, { maxBytes: 100_000 }), "/clusters answered more than 100000 bytes");
  const { url: silent } = await admin(t, { ...sound, "/stats": () => undefined });
  assert.equal(await reasonOf(silent, { timeoutMs: 100 }), "no complete answer within 100 ms");
});

test("polling reports every round, also with an endpoint that is down, and is silent after stop", async (t) => {
  let round = 0;
  const { url } = await admin(t, {
    ...sound,
    "/stats": (_, response) => response.end(file(round++ === 0 ? "stats-first" : "stats-second")),
  });
  const down = await nobody();
  const snapshots: TelemetrySnapshot[] = [];
  await new Promise<void>((resolve) => {
    const poll = pollTelemetry({
      urls: [url, down],
      intervalMs: 20,
      onSnapshot: (snapshot) => {
        snapshots.push(snapshot);
        // The first intervals may be too short against the time that a request takes here.
        const { rps } = snapshot.targets.get("payments-site-a")!;
        if (snapshots.length >= 3 && rps !== null) void poll.stop().then(resolve);
      },
    });
  });
  const count = snapshots.length;
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.equal(snapshots.length, count);
  assert.equal(snapshots[0]!.targets.get("payments-site-a")!.rps, null);
  assert.ok(snapshots.some((snapshot) => snapshot.targets.get("payments-site-a")!.rps! > 0));
  assert.deepEqual(
    snapshots[2]!.unreachable.map((u) => u.url),
    [down],
  );
});

test("stopping in the middle of a reading ends at once and reports nothing", async (t) => {
  const { url, seen } = await admin(t, { ...sound, "/stats": () => undefined });
  let reported = 0;
  const poll = pollTelemetry({ urls: [url], intervalMs: 10, timeoutMs: 60_000, onSnapshot: () => reported++ });
  while (!seen.some((path) => path.startsWith("/stats"))) await new Promise((resolve) => setTimeout(resolve, 5));
  await poll.stop();
  assert.equal(reported, 0);
});
