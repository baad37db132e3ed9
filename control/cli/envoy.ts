import { BallastError } from "../../common/errors.ts";
import { run as check } from "./envoy-check.ts";
import { run as snippet } from "./envoy-snippet.ts";
import type { Command } from "./io.ts";

const USAGE = `usage: ballast envoy snippet --service NAME ...   print what to paste into your Envoy configuration
       ballast envoy check [FILE]                 check an Envoy binary and a configuration before they start

Each takes --help.`;

export const run: Command = async ([name, ...args], io) => {
  if (name === "snippet") return snippet(args, io);
  if (name === "check") return check(args, io);
  if (name === undefined || name === "--help") {
    io.out(USAGE);
    return name === undefined ? 2 : 0;
  }
  throw new BallastError("USAGE", `envoy ${name}: expected snippet or check`, { hint: USAGE });
};
