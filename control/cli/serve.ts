import { parseArgs } from "node:util";
import pino from "pino";
import { BallastError } from "../../common/errors.ts";
import { PPM } from "../plan/plan.ts";
import type { ActiveEpoch } from "../serve/epoch-writer.ts";
import { type Serving, serve } from "../serve/serve.ts";
import { serveInTurn } from "../serve/serve-in-turn.ts";
import { pauseHook } from "../serve/steps.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast serve [--config FILE] [--anchor MS] [--standby] [--events] [--log-level LEVEL]

Runs the control server until SIGINT or SIGTERM.
--anchor MS    wall time (ms since 1970) at which clock.start of ballast.yaml holds; kept beside the store for the next start
--standby      one of several servers on one store: while another leads, wait; when another took the lead, wait again
--events       one JSON object per line on stdout: {"event":"ready"|"epoch"|"error", …}; the log goes to stderr
--log-level    trace, debug, info (default), warn or error`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", default: "demo/ballast.yaml" },
      anchor: { type: "string" },
      standby: { type: "boolean", default: false },
      events: { type: "boolean", default: false },
      "log-level": { type: "string", default: "info" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  const anchorMs = values.anchor === undefined ? undefined : Number(values.anchor);
  if (anchorMs !== undefined && !Number.isFinite(anchorMs))
    throw new BallastError("USAGE", `--anchor ${values.anchor}: expected milliseconds`);
  if (!["trace", "debug", "info", "warn", "error"].includes(values["log-level"]))
    throw new BallastError("USAGE", `--log-level ${values["log-level"]}`);

  const stopping = new AbortController();
  process.once("SIGINT", () => stopping.abort());
  process.once("SIGTERM", () => stopping.abort());
  const emit = (event: object) => {
    if (values.events) io.out(JSON.stringify(event));
  };
  const log = pino({ level: values["log-level"] }, pino.destination(2));
  const atStep = pauseHook(process.env.BALLAST_PAUSE_FILE, emit);
  if (atStep !== undefined)
    log.warn(
      { file: process.env.BALLAST_PAUSE_FILE },
      "BALLAST_PAUSE_FILE is set: epochs stop at the step that the file names",
    );
  const options = {
    configPath: values.config,
    log,
    onEpoch: (epoch: ActiveEpoch & { source: string }) => emit(epochEvent(epoch)),
    onError: (error: Error) => emit({ event: "error", message: error.message }),
    ...(atStep === undefined ? {} : { atStep }),
    ...(anchorMs === undefined ? {} : { anchorMs }),
  };
  const ready = (server: Serving) => emit({ event: "ready", xds: server.xdsPort, api: server.apiPort });
  if (values.standby) {
    await serveInTurn({ ...options, standby: stopping.signal }, ready);
    return 0;
  }
  const { promise: over, resolve: end } = Promise.withResolvers<BallastError | null>();
  stopping.signal.addEventListener("abort", () => end(null));
  const server = await serve({ ...options, onDeposed: end });
  ready(server);
  const deposed = await over;
  await server.stop();
  // Another server serves the fleet; whoever watches this process must see that it ended by itself.
  if (deposed !== null) throw deposed;
  return 0;
};

function epochEvent({ inForce, atMs, tables, skewMs, source }: ActiveEpoch & { source: string }): object {
  const services: Record<string, object> = Object.create(null);
  for (const [name, { plan }] of inForce.last) {
    const built = tables?.get(name);
    const table = inForce.tables.get(name)!;
    services[name] = {
      why: plan.why,
      targets: Object.fromEntries(
        plan.targets.map((target) => [target.name, { base: target.basePpm / PPM, planned: target.stickyPpm / PPM }]),
      ),
      ...(built === undefined ? {} : { slotsMoved: built.slotsMoved, slotsMinMoved: built.slotsMinMoved }),
      sticky: {
        owners: Buffer.from(table.sticky).toString("base64"),
        targets: table.targets.map((target) => target.name),
      },
    };
  }
  const { epoch, record } = inForce;
  return { event: "epoch", epoch, at_ms: atMs, why: record.why, skew_ms: skewMs, forecast: { source }, services };
}
