import { Agent, request } from "node:http";
import { virtualClock } from "../common/clock.ts";
import { xxh64 } from "../common/xxh64.ts";
import { DEMO_HEADERS } from "../envoy/demo.ts";
import { Arrivals, rateAt } from "./day-profile.ts";
import type { LoadMessage, LoadReport, LoadService, LoadStart } from "./load-messages.ts";
import { Movement } from "./movement.ts";
import { seededRandom } from "./random.ts";
import { type EpochEvent, stickyOwners } from "./server-event.ts";
import { liveSessionKeys, SessionCycle } from "./sessions.ts";
import { Tally } from "./tally.ts";

/**
 * The demo's client, as a process of its own: an open-loop generator. Requests are sent when the load history says, not when the
 * answer before has come, and latency counts from the time a request was meant to be sent, so a stall is seen by all who wait.
 *
 * It takes LoadMessages from its parent and reports once a second; it ends when the channel closes.
 */

/** Requests under way. One more is not sent but counted as an error: an open loop without this bound would eat all memory. */
const MAX_IN_FLIGHT = 2000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How often due arrivals are sent: fine enough beside service times of 20 ms, and cheap. */
const TICK_MS = 4;
/** A request in the past by more is not sent late in a burst but skipped: the generator itself was starved. */
const MAX_LATE_MS = 1000;
/** Span of the figures "of the last seconds". */
const WINDOW_SECONDS = 5;

class ServiceLoad {
  readonly #start: LoadStart;
  readonly service: LoadService;
  readonly tally: Tally;
  readonly movement: Movement | null;
  readonly #arrivals: Arrivals;
  readonly #sessions: { keys: readonly string[]; cycle: SessionCycle } | null = null;

  constructor(start: LoadStart, service: LoadService, index: number) {
    this.#start = start;
    this.service = service;
    this.tally = new Tally(new Map(Object.entries(service.base)), WINDOW_SECONDS);
    const clock = start.clock;
    this.#arrivals = new Arrivals({
      startMs: start.fromMs,
      random: seededRandom(start.seed * 31 + index),
      rateAt: (wallMs) => rateAt(service.week, virtualClock({ ...clock, wallMs: () => wallMs }).nowMs()),
    });
    this.movement = null;
    if (!service.sessions) return;
    const hash = (text: string, seed: bigint): bigint => xxh64(Buffer.from(text), seed);
    const keys = liveSessionKeys({ fleet: start.fleet, seed: start.seed, hash });
    this.#sessions = { keys, cycle: new SessionCycle(start.seed * 17 + index) };
    const shift = BigInt(64 - Math.log2(start.slots));
    const fleetSeed = hash(start.fleet, 0n);
    this.movement = new Movement({ slotOf: keys.map((key) => Number(hash(key, fleetSeed) >> shift)) });
  }

  sendDue(nowMs: number): void {
    for (;;) {
      const intendedMs = this.#arrivals.next(nowMs);
      if (intendedMs === null) return;
      if (nowMs - intendedMs <= MAX_LATE_MS) this.#send(intendedMs);
      else skipped++;
    }
  }

  #send(intendedMs: number): void {
    const session = this.#sessions?.cycle.next();
    const planned = this.tally.planned;
    const counted = intendedMs >= countFromMs;
    let settled = false;
    const settle = (target: string | null, ok: boolean, steered: boolean): void => {
      if (settled) return;
      settled = true;
      const answeredMs = Date.now();
      if (steered && firstSteeredMs === null) firstSteeredMs = answeredMs;
      const latencyMs = answeredMs - intendedMs;
      this.tally.add({ target, ok, latencyMs, second: Math.floor(answeredMs / 1000), planned, counted });
      if (session === undefined || target === null || !ok || !counted) return;
      this.movement?.observe({ session, target, steered, sentMs: intendedMs, answeredMs });
    };
    if (inFlight >= MAX_IN_FLIGHT) {
      settle(null, false, false);
      return;
    }
    inFlight++;
    const headers: Record<string, string> = {};
    if (session !== undefined) headers.cookie = `${this.#start.sessionCookie}=${this.#sessions!.keys[session]}`;
    const call = request(
      {
        host: "127.0.0.1",
        port: this.#start.port,
        path: `/${this.service.name}`,
        agent,
        headers,
        timeout: REQUEST_TIMEOUT_MS,
      },
      (response) => {
        const served = response.headers[DEMO_HEADERS.servedBy] ?? response.headers[DEMO_HEADERS.cluster];
        const target = typeof served === "string" ? served : null;
        const steered = response.headers[DEMO_HEADERS.route] === "steered";
        response.resume();
        response.once("end", () => settle(target, response.statusCode === 200, steered));
      },
    );
    call.once("timeout", () => call.destroy(new Error("timeout")));
    call.once("error", () => settle(null, false, false));
    call.once("close", () => {
      inFlight--;
      settle(null, false, false);
    });
    call.end();
  }

  activate(event: EpochEvent): void {
    const service = event.services[this.service.name];
    if (service === undefined) return;
    this.tally.plan(new Map(Object.entries(service.targets).map(([name, target]) => [name, target.planned])));
    if (this.movement === null || service.sticky === undefined) return;
    const { slotsMoved = 0, slotsMinMoved = 0 } = service;
    this.movement.activate({
      epoch: event.epoch,
      atMs: event.at_ms,
      owners: stickyOwners(service.sticky),
      necessity: slotsMoved === 0 ? 1 : slotsMinMoved / slotsMoved,
    });
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: MAX_IN_FLIGHT, maxFreeSockets: 64, scheduling: "fifo" });
let loads: ServiceLoad[] = [];
let inFlight = 0;
let skipped = 0;
let countFromMs = Number.POSITIVE_INFINITY;
let firstSteeredMs: number | null = null;
let ticker: NodeJS.Timeout | undefined;

function report(kind: LoadReport["kind"]): void {
  const second = Math.floor(Date.now() / 1000);
  const services: LoadReport["services"] = {};
  const moves = { sessionsMoved: 0, sessionsMinMoved: 0, slotsMoved: 0, slotsMinMoved: 0 };
  for (const { service, tally, movement } of loads) {
    services[service.name] = { recent: tally.recent(second), totals: tally.totals() };
    if (movement === null) continue;
    for (const key of ["sessionsMoved", "sessionsMinMoved", "slotsMoved", "slotsMinMoved"] as const) {
      moves[key] += movement.moves[key];
    }
  }
  process.send?.({
    kind,
    windowSeconds: WINDOW_SECONDS,
    services,
    moves,
    firstSteeredMs,
    skipped,
  } satisfies LoadReport);
}

async function finish(): Promise<void> {
  clearInterval(ticker);
  const deadline = Date.now() + REQUEST_TIMEOUT_MS;
  while (inFlight > 0 && Date.now() < deadline) await new Promise((done) => setTimeout(done, 20));
  report("result");
  process.disconnect?.();
}

process.on("message", (message: LoadMessage) => {
  switch (message.kind) {
    case "start":
      loads = message.services.map((service, index) => new ServiceLoad(message, service, index));
      ticker = setInterval(() => {
        const nowMs = Date.now();
        for (const load of loads) load.sendDue(nowMs);
      }, TICK_MS);
      setInterval(() => report("second"), 1000).unref();
      return;
    case "count":
      countFromMs = message.fromMs;
      for (const load of loads) load.tally.startCounting();
      return;
    case "epoch":
      for (const load of loads) load.activate(message.event);
      return;
    case "finish":
      void finish();
      return;
  }
});
process.on("disconnect", () => process.exit(0));
