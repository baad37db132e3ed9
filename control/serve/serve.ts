import { hostname } from "node:os";
import type pino from "pino";
import { type Clock, systemClock, virtualClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { CapacityBook } from "../capacity/capacity-book.ts";
import { openStore } from "../checkpoint/open-store.ts";
import { sha256Hex } from "../checkpoint/record.ts";
import type { Finding } from "../estate/estate.ts";
import { FORECAST_SOURCES } from "../forecast/forecast.ts";
import { liveTelemetry } from "../plan/live.ts";
import { unfitNow } from "../plan/unfit.ts";
import { RolloutMeter } from "../rollout/meter.ts";
import { pollTelemetry } from "../telemetry/poll-telemetry.ts";
import { openTickets } from "../tickets/open-tickets.ts";
import { startXdsServer } from "../xds/server.ts";
import { apiRoutes } from "./api-routes.ts";
import { startApiServer } from "./api-server.ts";
import { CapacityKeeper } from "./capacity-keeper.ts";
import { ChangeDesk, restoreLedger } from "./change-desk.ts";
import { Changes } from "./changes.ts";
import { policyDigestOf } from "./checkpoint-record.ts";
import { ControlLoop } from "./control-loop.ts";
import { Covariates } from "./covariates.ts";
import { type ActiveEpoch, EpochWriter } from "./epoch-writer.ts";
import { earlierEpochs, restoreInForce, settleEarlier } from "./in-force.ts";
import { loadInputs } from "./inputs.ts";
import { type Leadership, lead } from "./leadership.ts";
import { OpenModels } from "./open-models.ts";
import { planningTime, settleAnchor } from "./planning-clock.ts";
import { Rollouts, restoreRollouts } from "./rollouts.ts";
import { doorkeeperOf, readTlsFiles, xdsTls } from "./server-files.ts";
import { notLeading, type StandbyView, standbyRoutes } from "./standby.ts";
import { SteerGuard } from "./steer-guard.ts";
import { type StepHook, stepFleet, stepStore } from "./steps.ts";
import { noteAbandoned } from "./take-over.ts";

export interface ServeOptions {
  configPath: string;
  /** Wall time at which the planning clock of ballast.yaml starts; default: that of the last run with this store, or now. */
  anchorMs?: number;
  log: pino.Logger;
  onEpoch?: (epoch: ActiveEpoch & { source: string }) => void;
  onError?: (error: Error) => void;
  /** Waits for the lead instead of failing when another server holds it; aborting it ends the wait with STORE_FENCED. */
  standby?: AbortSignal;
  /** Another server took the lead: this one is silent and can write nothing more; stop it. */
  onDeposed?: (error: BallastError) => void;
  /** Called at each step of an epoch's life, see steps.ts; for fault tests. */
  atStep?: StepHook;
  /** Holds every answer of the API against its documented schema; for tests. */
  checkAnswers?: boolean;
  /** Wall clock of change control. Default Date.now; for tests. */
  wallMs?: () => number;
}

export interface Serving {
  xdsPort: number;
  apiPort: number;
  stop(): Promise<void>;
}

const POLL_INTERVAL_MS = 500;
/** What was before a change is looked at for so long at least, of real time: a bake on a fast clock is short. */
const MIN_LOOK_BACK_MS = 10_000;

/** Composes the rooms into a running control server. Throws typed errors for everything that must not start half. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { log } = options;
  const undo: (() => unknown)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const read = () => loadInputs(options.configPath, (config) => config.clock?.startMs ?? Date.now());
    let inputs = await read();
    const { config } = inputs;
    const wallMs = options.wallMs ?? Date.now;
    const store = await openStore(config.store);
    undo.push(() => store.close());
    const anchorMs = await settleAnchor(config, options.anchorMs ?? null);
    const clock: Clock = config.clock === null ? systemClock : virtualClock({ ...config.clock, anchorMs });
    // Its port is bound before the lease is asked for: a second start of the same server must fail there, not take the lead.
    let standby: StandbyView | null = { phase: "starting", leader: null };
    let routes = standbyRoutes(() => standby ?? { phase: "starting", leader: null });
    const api = await startApiServer({
      ...config.server.api,
      routes: () => routes,
      notServed: () => (standby === null ? null : notLeading(standby)),
      doorkeeper: await doorkeeperOf(config),
      ...(config.server.apiTls === null ? {} : { tls: await readTlsFiles("apiTls", config.server.apiTls) }),
      ...(options.checkAnswers === undefined ? {} : { checkAnswers: options.checkAnswers }),
    });
    undo.push(() => api.stop());
    // The same over restarts, so that a server takes its own lease back at once.
    const holder = `${hostname()}:${config.server.api.port === 0 ? `pid-${process.pid}-${api.port}` : api.port}`;
    const { leaseMs } = config.server;
    // The lease may be lost before there is a fleet to silence.
    let lost: string | null = null;
    const fleet: { silence(reason: string): void; resume(): void } = { silence: () => {}, resume: () => {} };
    const leadership: Leadership = await lead({
      store,
      holder,
      ttlMs: leaseMs,
      onLost: (reason) => {
        lost = `the head of the store cannot be confirmed: ${reason}`;
        fleet.silence(lost);
      },
      onRegained: () => {
        lost = null;
        fleet.resume();
      },
      onDeposed: (error) => options.onDeposed?.(error),
      onWaiting: (leader) => {
        if (standby?.phase === "starting") log.info({ leader }, "waiting for the lead");
        standby = { phase: "standby", leader };
      },
      ...(options.standby === undefined ? {} : { waiting: options.standby }),
    });
    undo.push(() => leadership.stop());
    // A standby may have waited for days: what it read at its start says nothing of now.
    if (options.standby !== undefined) inputs = await read();
    const { estate, history, services } = inputs;
    reportFindings(estate.findings, options);

    const { term } = leadership;
    const abandoned = await noteAbandoned(store, { term });
    if (abandoned.length > 0)
      log.warn({ epochs: abandoned }, "a server ended before it committed what it had reserved");
    const { inForce, memory } = await restoreInForce(store, config);
    const desk = new ChangeDesk({
      store,
      term,
      state: await restoreLedger(store),
      windows: inputs.freezes,
      nowMs: () => clock.nowMs(),
    });
    await desk.snapshot();
    const clockRate = config.clock?.rate ?? 1;
    const meter = new RolloutMeter({ lookBackMs: Math.max(MIN_LOOK_BACK_MS, config.rollout.bakeMs / clockRate) });
    const nodeIds = () => xds.fleet.connectedIds();
    const stepped = stepStore(store, options.atStep);
    const rollouts = new Rollouts({
      config,
      clock,
      wallMs,
      store: stepped,
      term,
      state: await restoreRollouts(store),
      meter,
      clockRate,
      nodeIds,
      restraintOf: (services) => stepRestraint(desk, services),
      inputs: sha256Hex(`${estate.digest} ${policyDigestOf(config)}`),
      log,
    });
    await rollouts.snapshot();
    if (inForce !== null) {
      const earlier = await earlierEpochs(store, inForce);
      const flying = rollouts.state.flights.map(({ epoch }) => epoch);
      await settleEarlier(store, inForce, { earlier, flying }, { term, atMs: wallMs() });
    }
    const xds = await startXdsServer({
      address: `${config.server.xds.host}:${config.server.xds.port}`,
      fleet: config.fleet,
      log,
      clock,
      restore: memory,
      ...(config.server.xdsTls === null ? {} : { tls: await xdsTls(config.server.xdsTls) }),
      beforeServing: () => leadership.check(),
      onBehind: (error) => options.onError?.(error),
    });
    undo.push(() => xds.stop());
    fleet.silence = (reason) => xds.fleet.silence(reason);
    fleet.resume = () => xds.fleet.resume();
    if (lost !== null) fleet.silence(lost);

    const covariates = await Covariates.open({ inputs, clock, timeOf: planningTime(config, anchorMs), log });
    undo.push(() => covariates.stop());
    const models = await OpenModels.open({ inputs, world: covariates, store, term, desk, clock, log });
    undo.push(() => models.stop());
    const { forecaster, risks } = models;
    const writer = new EpochWriter({
      config,
      clock,
      wallMs,
      estateDigest: estate.digest,
      services,
      store: stepped,
      fleet: stepFleet(xds.fleet, options.atStep),
      rollouts,
      nodeIds,
      term,
      inForce,
      desk,
      model: () => forecaster.status().sha256,
      riskModel: () => risks?.status().sha256 ?? null,
      log,
      onEpoch: (epoch) => {
        const { modelChange } = epoch.inForce.record;
        if (modelChange !== undefined) models.committed(modelChange).catch((error: Error) => options.onError?.(error));
        options.onEpoch?.({ ...epoch, source: forecastSource(loop) });
      },
    });
    const changes = new Changes({
      config,
      store,
      term,
      writer,
      desk,
      rollouts,
      unfit: (name, targetName) => {
        const service = services.get(name);
        const target = service?.estate.targets.find((one) => one.name === targetName);
        if (service === undefined || target === undefined) return `${targetName} is no target of it any more`;
        const now = { telemetry: loop.telemetry, monotonicMs: clock.monotonicMs(), clockRate };
        return unfitNow(target, liveTelemetry(now, service.policy), clock.nowMs());
      },
      nowMs: () => clock.nowMs(),
      wallMs,
      modelStillApplies: (change) => models.stillApplies(change),
    });
    const tickets = await openTickets({
      config: config.tickets,
      fleet: config.fleet,
      store,
      term,
      log,
      ciOf: (name) => estate.services.get(name)?.ciId ?? null,
      approve: (request) => changes.approve(request),
      refuse: (request) => changes.refuse(request),
    });
    undo.push(() => tickets?.stop());
    const capacities = new CapacityBook(services, (name) => {
      const service = config.services.get(name);
      return service === undefined ? undefined : { ...service.objective, readingMs: service.capacity.readingMs };
    });
    const keeper = new CapacityKeeper({ book: capacities, store, term, clock, log });
    await keeper.restore();
    undo.push(() => keeper.stop());
    const loop = new ControlLoop({
      config,
      clock,
      clockRate,
      services,
      history,
      forecaster,
      capacities,
      risks,
      writer,
      desk,
      rollouts,
      changes,
      onError: (error) => {
        if (error instanceof BallastError && error.code === "STORE_FENCED") void leadership.renew();
        log.error({ err: error }, error.message);
        options.onError?.(error);
      },
    });
    const steerGuard = new SteerGuard({
      config,
      inForce: () => writer.inForce,
      nodes: () => xds.fleet.nodes(),
      killSwitch: (request) => changes.killSwitch(request),
      onError: (error) => {
        log.error({ err: error }, error.message);
        options.onError?.(error);
      },
    });
    const poller = pollTelemetry({
      urls: config.envoy.admin,
      intervalMs: POLL_INTERVAL_MS,
      onAnswers: (answers) => {
        meter.add(answers);
        steerGuard.add(answers, clock.monotonicMs());
      },
      onSnapshot: (snapshot) => loop.observe(snapshot),
      clock,
    });
    undo.push(() => steerGuard.stop());
    undo.push(() => poller.stop());
    undo.push(() => loop.stop());

    routes = apiRoutes({
      config,
      clock,
      wallMs,
      estate,
      loop,
      writer,
      desk,
      rollouts,
      changes,
      forecaster,
      covariates,
      capacities,
      risks,
      models,
      store,
      xds,
      steerGuard,
      term,
      tickets,
      confirmedAgoMs: () => leadership.confirmedAgoMs(),
      leaseTtlMs: leaseMs,
    });
    standby = null;
    // Whoever follows the events learns what is in force also after a server died between an activation and its event.
    if (inForce !== null) options.onEpoch?.({ inForce, atMs: Date.now(), tables: null, skewMs: null, source: "none" });
    loop.start();
    keeper.start();
    log.info({ xds: xds.port, api: api.port, epoch: inForce?.epoch ?? 0, term }, "control server ready");
    return { xdsPort: xds.port, apiPort: api.port, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** Why a unit may not take its next step now: its service is frozen, or everything holds. */
function stepRestraint(desk: ChangeDesk, services: readonly string[]): string | null {
  if (desk.state.held) return "the planner holds: `ballast resume`";
  for (const service of services) {
    const freeze = desk.freezeOf(service);
    if (freeze.frozen) return `${service} is ${freeze.text}`;
  }
  return null;
}

/** Findings told one by one; `ballast estate check` lists all. */
const MAX_TOLD_FINDINGS = 10;

/** An estate that is read with errors may plan from a wrong picture: whoever runs the server must hear of it without asking. */
function reportFindings(findings: readonly Finding[], { log, onError }: Pick<ServeOptions, "log" | "onError">): void {
  for (const { code, message } of findings) if (code === "BAD_SCHEDULE") log.warn({ code }, message);
  const errors = findings.filter(({ severity }) => severity === "error");
  for (const { code, message } of errors.slice(0, MAX_TOLD_FINDINGS)) {
    log.warn({ code }, message);
    onError?.(new BallastError("ESTATE_FINDING", `${code}: ${message}`));
  }
  if (errors.length > MAX_TOLD_FINDINGS) log.warn({ errors: errors.length }, "more errors in the estate");
}

/** The weakest link that answered for any service. */
function forecastSource(loop: ControlLoop): string {
  const sources = [...loop.forecasts.values()].map(({ source }) => FORECAST_SOURCES.indexOf(source));
  return FORECAST_SOURCES[Math.max(...sources)] ?? "none";
}
