import { BallastError } from "../../common/errors.ts";
import { fetchEnvoy } from "../../scripts/fetch-envoy.ts";
import { describeMachine, envoyVersion, loadAverage } from "../lib/machine.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";
import { fleetResult, measureFleet } from "./fleet.ts";
import { fleetReport, switchReport } from "./report.ts";
import { measureSwitches, switchResult } from "./switches.ts";

const REAL_ENVOYS = 4;
const MAX_NODES = 18_000;

/** `propagation`: one Envoy's workers beside an RDS push. `propagation --fleet [--nodes N] [--mtls]`: a whole fleet's streams. */
export async function run(options: BenchOptions): Promise<object> {
  const versions = `Envoy ${envoyVersion(await fetchEnvoy())}. ${describeMachine()}, load average at the start ${loadAverage()}.`;
  if (!options.args.includes("--fleet")) {
    const figures = await measureSwitches({ quick: options.quick, progress: say });
    const text = switchReport(figures, versions);
    console.log(text);
    if (!options.quick) await writeResults("propagation", text);
    return switchResult(figures);
  }
  const runs = fleetRuns(options);
  const all = [];
  for (const { nodes, mtls, rounds, envoys } of runs) {
    say(`${nodes} nodes${mtls ? " with mutual TLS" : ""}`);
    all.push(await measureFleet({ nodes, mtls, rounds, envoys }));
  }
  const text = fleetReport(all, versions);
  console.log(text);
  // The section holds the two sizes of a full run; a single size asked for by hand does not replace it.
  if (!options.quick && runs.length > 1) await writeResults("propagation-fleet", text);
  // The largest plain fleet is the one with a figure to reach.
  const named = all.findLast(({ mtls }) => mtls === options.args.includes("--mtls")) ?? all[all.length - 1];
  if (named === undefined) throw new Error("no fleet was measured");
  return fleetResult(named);
}

function fleetRuns({ quick, args }: BenchOptions): { nodes: number; mtls: boolean; rounds: number; envoys: number }[] {
  const at = args.indexOf("--nodes");
  const asked = at < 0 ? undefined : Number(args[at + 1]);
  if (asked !== undefined && !(Number.isInteger(asked) && asked >= 1 && asked <= MAX_NODES)) {
    throw new BallastError("USAGE", `--nodes takes a whole number from 1 to ${MAX_NODES}`);
  }
  const mtls = args.includes("--mtls");
  const rounds = quick ? 7 : 15;
  const fleet = (nodes: number, secure: boolean) => ({ nodes, mtls: secure, rounds, envoys: secure ? 0 : REAL_ENVOYS });
  if (asked !== undefined || quick) return [fleet(asked ?? 1_000, mtls)];
  return mtls
    ? [fleet(1_000, true), fleet(10_000, true)]
    : [fleet(1_000, false), fleet(10_000, false), fleet(1_000, true), fleet(10_000, true)];
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
