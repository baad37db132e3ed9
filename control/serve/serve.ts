import { readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import type pino from "pino";
import { type Clock, systemClock, virtualClock } from "../../common/clock.ts";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import type { BallastConfig } from "../config/config.ts";
import { openForecaster } from "../forecast/forecaster.ts";
import { pollTelemetry } from "../telemetry/poll-telemetry.ts";
import { startXdsServer } from "../xds/server.ts";
import { apiRoutes } from "./api-routes.ts";
import { type ApiHandler, startApiServer } from "./api-server.ts";
import { type ActiveEpoch, ControlLoop } from "./control-loop.ts";
import { restoreInForce } from "./in-force.ts";
import { loadInputs } from "./inputs.ts";
import { lead } from "./leadership.ts";

export interface ServeOptions {
  configPath: string;
  /** Wall time at which the planning clock of ballast.yaml starts; default: that of the last run with this store, or now. */
  anchorMs?: number;
  log: pino.Logger;
  onEpoch?: (epoch: ActiveEpoch & { source: string }) => void;
  onError?: (error: Error) => void;
}

export interface Serving {
  xdsPort: number;
  apiPort: number;
  stop(): Promise<void>;
}

const LEASE_TTL_MS = 10_000;
const POLL_INTERVAL_MS = 500;

/** Composes the rooms into a running control server. Throws typed errors for everything that must not start half. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { log } = options;
  const undo: (() => unknown)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const inputs = await loadInputs(options.configPath, (config) => config.clock?.startMs ?? Date.now());
    const { config, estate, history, services } = inputs;
    const store = SqliteStore.open({ path: config.store.sqlite });
    undo.push(() => store.close());
    const anchorMs = await settleAnchor(config, options.anchorMs ?? null);
    const clock: Clock = config.clock === null ? systemClock : virtualClock({ ...config.clock, anchorMs });
    // Its port is bound before the lease is asked for: a second start of the same server must fail there, not take the lead.
    const routes: Record<string, ApiHandler> = { "GET /healthz": () => ({ status: "starting" }) };
    const api = await startApiServer({ ...config.server.api, routes });
    undo.push(() => api.stop());
    // The same over restarts, so that a server takes its own lease back at once.
    const holder = `${hostname()}:${config.server.api.port === 0 ? `pid-${process.pid}-${api.port}` : api.port}`;
    const leadership = await lead({
      store,
      holder,
      ttlMs: LEASE_TTL_MS,
      onLost: (reason) => xds.fleet.silence(`the head of the store cannot be confirmed: ${reason}`),
      onRegained: () => xds.fleet.resume(),
    });
    undo.push(() => leadership.stop());

    const { inForce, memory } = await restoreInForce(store, config);
    const xds = await startXdsServer({
      address: `${config.server.xds.host}:${config.server.xds.port}`,
      fleet: config.fleet,
      log,
      clock,
      restore: memory,
      onBehind: (error) => options.onError?.(error),
    });
    undo.push(() => xds.stop());

    const forecaster = await openForecaster({ modelDir: config.model ?? "", log });
    undo.push(() => forecaster.close());
    const loop = new ControlLoop({
      config,
      clock,
      clockRate: config.clock?.rate ?? 1,
      estate,
      services,
      history,
      forecaster,
      store,
      fleet: xds.fleet,
      term: leadership.term,
      inForce,
      log,
      onEpoch: (epoch) => options.onEpoch?.({ ...epoch, source: forecastSource(loop) }),
      onError: (error) => {
        log.error({ err: error }, error.message);
        options.onError?.(error);
      },
    });
    const poller = pollTelemetry({
      urls: config.envoy.admin,
      intervalMs: POLL_INTERVAL_MS,
      onSnapshot: (snapshot) => loop.observe(snapshot),
      clock,
    });
    undo.push(() => poller.stop());
    undo.push(() => loop.stop());

    Object.assign(routes, apiRoutes({ config, clock, estate, loop, forecaster, store, xds, term: leadership.term }));
    // Whoever follows the events learns what is in force also after a server died between an activation and its event.
    if (inForce !== null) options.onEpoch?.({ inForce, atMs: Date.now(), tables: null, skewMs: null, source: "none" });
    loop.start();
    log.info(
      { xds: xds.port, api: api.port, epoch: inForce?.epoch ?? 0, term: leadership.term },
      "control server ready",
    );
    return { xdsPort: xds.port, apiPort: api.port, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** The weakest link that answered for any service. */
function forecastSource(loop: ControlLoop): string {
  const order = ["model", "seasonal_naive", "last", "none"];
  const sources = [...loop.forecasts.values()].map((forecast) => forecast.source);
  return sources.sort((a, b) => order.indexOf(b) - order.indexOf(a))[0] ?? "none";
}

/**
 * A server that is killed and started again must find the same calendar: the anchor of a planning clock lies beside the
 * store. Without a planning clock there is nothing to keep.
 */
async function settleAnchor(config: BallastConfig, given: number | null): Promise<number> {
  if (config.clock === null) return Date.now();
  const file = `${config.store.sqlite}.anchor`;
  if (given === null) {
    const kept = Number(await readFile(file, "utf8").catch(() => ""));
    if (Number.isFinite(kept) && kept > 0) return kept;
  }
  const anchorMs = given ?? Date.now();
  await writeFile(file, `${anchorMs}\n`);
  return anchorMs;
}
