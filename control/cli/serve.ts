import { parseArgs } from "node:util";
import pino from "pino";
import { BallastError } from "../../common/errors.ts";
import { PPM } from "../plan/plan.ts";
import type { ActiveEpoch } from "../serve/epoch-writer.ts";
import { serve } from "../serve/serve.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast serve [--config FILE] [--anchor MS] [--standby] [--events] [--log-level LEVEL]

Runs the control server until SIGINT or SIGTERM.
--anchor MS    wall time (ms since 1970) at which clock.start of ballast.yaml holds; kept beside the store for the next start
--standby      while another server leads with the same store, wait for the lead instead of failing
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

  const waiting = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    const stop = () => {
      waiting.abort();
      resolve();
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  });
  const emit = (event: object) => {
    if (values.events) io.out(JSON.stringify(event));
  };
  const log = pino({ level: values["log-level"] }, pino.destination(2));
  const server = await serve({
    configPath: values.config,
    log,
    onEpoch: (epoch) => emit(epochEvent(epoch)),
    onError: (error) => emit({ event: "error", message: error.message }),
    ...(values.standby ? { standby: waiting.signal } : {}),
    ...(anchorMs === undefined ? {} : { anchorMs }),
  });
  emit({ event: "ready", xds: server.xdsPort, api: server.apiPort });
  await stopped;
  await server.stop();
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
