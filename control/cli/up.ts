import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { runDemo } from "../../demo/demo.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast up [--config FILE] [--no-ballast] [--seconds N] [--json] [--seed N] [--port-base N]

Runs the whole demo on this machine, on loopback: targets, Envoy with the filter, the control server and a load generator. Ctrl-C ends it.
--no-ballast   the same load on Envoy's static weights, without filter and control server
--seconds N    ends by itself at second N of the demo
--json         progress goes to stderr; the last line of stdout is the result as one JSON object
--seed N       seed of arrivals and sessions (default 1)
--port-base N  moves every port: listener N, admin N+1, xDS N+2, API N+3, targets from N+10 (default: listener 10000, the rest as in FILE)
The environment: BALLAST_ENVOY names an Envoy binary to be used instead of the fetched one.`;

export const run: Command = async (args, io) => {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", default: "demo/ballast.yaml" },
      "no-ballast": { type: "boolean", default: false },
      seconds: { type: "string" },
      json: { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      "port-base": { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    io.out(USAGE);
    return 0;
  }
  return runDemo(
    {
      configPath: values.config,
      ballast: !values["no-ballast"],
      seconds: values.seconds === undefined ? null : number("--seconds", values.seconds, 1, 86_400),
      json: values.json,
      seed: number("--seed", values.seed, 0, 0xffff_ffff),
      portBase: values["port-base"] === undefined ? null : number("--port-base", values["port-base"], 1024, 65_500),
    },
    io,
  );
};

function number(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < min || value > max) {
    throw new BallastError("USAGE", `${flag} ${text}: expected a whole number from ${min} to ${max}`);
  }
  return value;
}
