import { BallastError } from "../../common/errors.ts";
import { fetchEnvoy } from "../../scripts/fetch-envoy.ts";
import { bootstrap, httpListener, STEER_HEADER, wasmFilter } from "../hot-path/listener.ts";
import { ENVOY_CORE, OTHER_CORE, pinSelf, sessionRequests } from "../hot-path/rig.ts";
import { FLEET, startBenchControl } from "../lib/control-server.ts";
import { startEnvoy } from "../lib/envoy-process.ts";
import { filterModule } from "../lib/filter-module.ts";
import { buildLoadGenerator, startLoadGenerator } from "../lib/load-generator.ts";
import { describeMachine, envoyVersion } from "../lib/machine.ts";
import { freePorts } from "../lib/ports.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";
import { type Deviation, deviation, moved } from "./deviation.ts";
import { ENVOY_ROWS, targetClusters, targetName } from "./envoy-rows.ts";
import { type MoveFigure, type SplitRow, splitReport } from "./report.ts";
import { leastMoved, type Push, pushes, SLOTS, TARGET_COUNT } from "./weights.ts";

const FULL = { picks: 110_000, sessions: 65_536, lengths: [10, 100, 1000, 10_000, 100_000] };
const QUICK = { picks: 12_000, sessions: 4096, lengths: [10, 100, 1000, 10_000] };
const SERVICE = "payments";
/** In flight when only the mapping of sessions matters, not the order of the picks. */
const PARALLEL = 8;

export async function run(options: BenchOptions): Promise<object> {
  const plan = options.quick ? QUICK : FULL;
  const envoyBinary = await fetchEnvoy();
  const load = await buildLoadGenerator();
  if ("missing" in load) throw new BallastError("USAGE", `the load generator needs a C compiler: ${load.missing}`);
  const module = await filterModule();
  const { base, after } = pushes();
  const states = [base, ...after];

  const upstreamPorts = await freePorts(TARGET_COUNT);
  const [adminPort, plainPort, stickyPort, ...statePorts] = (await freePorts(
    3 + ENVOY_ROWS.length * states.length,
  )) as [number, number, number, ...number[]];
  const listeners: object[] = [];
  const clusters: object[] = targetClusters(upstreamPorts);
  const portOf = new Map<string, number>();
  for (const row of ENVOY_ROWS) {
    for (const state of row.sessions ? states : [base]) {
      const name = `${row.name}_${state.name}`;
      const port = statePorts.shift() as number;
      const { route, clusters: own } = row.parts(state, state.name, upstreamPorts);
      listeners.push(httpListener({ name, port, filters: [], routes: [{ match: { prefix: "/" }, route }] }));
      clusters.push(...own);
      portOf.set(name, port);
    }
  }
  const control = await startBenchControl(SLOTS);
  const stops: (() => Promise<unknown>)[] = [control.stop];
  try {
    if ("path" in module) {
      listeners.push(
        ballastListener("ballast_plain", plainPort, module.path, false),
        ballastListener("ballast_sticky", stickyPort, module.path, true),
      );
    }
    pinSelf();
    const generator = await startLoadGenerator({
      binary: load.path,
      core: OTHER_CORE,
      requests: sessionRequests(plan.sessions),
      upstreamPorts,
    });
    stops.push(generator.stop);
    const shares = (push: Push): Record<string, number> =>
      Object.fromEntries(push.quotas.map((quota, index) => [targetName(index), quota]));
    await control.push({ [SERVICE]: { now: shares(base) } });
    const envoy = await startEnvoy({
      binary: envoyBinary,
      core: ENVOY_CORE,
      adminPort,
      bootstrap: bootstrap({ adminPort, listeners, upstreams: {}, grpc: { ballast_control: control.port }, clusters }),
    });
    stops.push(envoy.stop);

    /** Picks in strict order: one request at a time. */
    const inOrder = async (port: number): Promise<Int8Array> => {
      await generator.connect(port, 1);
      return picked(await generator.closed({ port, count: plan.picks, parallel: 1 }));
    };
    /** The target of every session. */
    const mapping = async (port: number): Promise<Int8Array> => {
      await generator.connect(port, PARALLEL);
      return picked(await generator.closed({ port, count: plan.sessions, parallel: PARALLEL }));
    };
    const picked = async (result: { bad: number; done: number }): Promise<Int8Array> => {
      if (result.bad > 0) throw new Error(`${result.bad} of ${result.done} answers were not 200`);
      return generator.picks();
    };

    const rows: SplitRow[] = [];
    const moves: MoveFigure[] = [];
    const quotaShares = base.quotas.map((quota) => quota / SLOTS);
    const add = (name: string, what: string, picks: Int8Array): void => {
      const lengths = plan.lengths.filter((length) => length <= picks.length);
      rows.push({ name, what, deviations: lengths.map((length) => deviation(picks, quotaShares, length)) });
    };
    const addMove = (name: string, push: Push, seen: ReturnType<typeof moved>): void => {
      const least = leastMoved(base.weights, push.weights) * plan.sessions;
      moves.push({
        name,
        push: push.name,
        sessions: plan.sessions,
        moved: seen.moved,
        leastByWeights: least,
        leastSeen: seen.least,
      });
    };

    for (const row of ENVOY_ROWS) {
      const port = (state: Push): number => portOf.get(`${row.name}_${state.name}`) as number;
      if (!row.sessions) {
        add(row.name, row.what, await inOrder(port(base)));
        continue;
      }
      const before = await mapping(port(base));
      add(row.name, `${row.what}; a new session per request`, before);
      for (const push of after) addMove(row.name, push, moved(before, await mapping(port(push)), TARGET_COUNT));
    }
    let away: number | undefined;
    if ("path" in module) {
      await control.joined(2);
      add("ballast", "Ballast, no session", await inOrder(plainPort));
      const home = await mapping(stickyPort);
      add("ballast_sessions", "Ballast; a new session per request", home);
      away = 0;
      for (const push of after) {
        await control.push({ [SERVICE]: { now: shares(push), base: shares(base) } });
        addMove("ballast", push, moved(home, await mapping(stickyPort), TARGET_COUNT));
        for (const step of [0.25, 0.5, 0.75, 1]) {
          await control.push({ [SERVICE]: { now: blend(shares(push), shares(base), step), base: shares(base) } });
        }
        away += moved(home, await mapping(stickyPort), TARGET_COUNT).moved;
      }
    }
    const text = splitReport({
      rows,
      moves,
      pushes: after,
      base,
      away,
      plan,
      missing: "missing" in module ? module.missing : undefined,
      versions: `Envoy ${envoyVersion(envoyBinary)}; ${describeMachine()}`,
    });
    console.log(text);
    if (!options.quick) await writeResults("split", text);
    return result(rows, moves, away);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

function ballastListener(name: string, port: number, path: string, session: boolean): object {
  const configuration = JSON.stringify({
    control_cluster: "ballast_control",
    fleet: FLEET,
    node: "bench",
    service_from: { fixed: SERVICE },
    steer_header: STEER_HEADER,
    ...(session ? { session_from: { cookie: "sid" } } : {}),
  });
  return httpListener({
    name,
    port,
    filters: [wasmFilter({ vmId: name, path, configuration, failurePolicy: "FAIL_RELOAD" })],
    routes: [
      {
        match: { prefix: "/", headers: [{ name: STEER_HEADER, present_match: true }] },
        route: { cluster_header: STEER_HEADER },
      },
      { match: { prefix: "/" }, direct_response: { status: 503 } }, // nothing was written: the filter was not ready
    ],
  });
}

/** Part of the way from one split to another, in thousandths of a slot so that steps stay whole numbers. */
function blend(from: Record<string, number>, to: Record<string, number>, step: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(from).map(([name, value]) => [name, Math.round(1000 * (value + ((to[name] ?? 0) - value) * step))]),
  );
}

function result(rows: readonly SplitRow[], moves: readonly MoveFigure[], away: number | undefined): object {
  const worst = (row: SplitRow | undefined, length: number): Deviation | undefined =>
    row?.deviations.find(({ picks }) => picks === length);
  const of = (name: string): SplitRow | undefined => rows.find((row) => row.name === name);
  const maxDeviation = (name: string): Record<string, number | null> =>
    Object.fromEntries([100, 1000].map((length) => [length, round(worst(of(name), length)?.worst)]));
  const overMinimum = (name: string): number | null => {
    const own = moves.filter((move) => move.name === name);
    if (own.length === 0) return null;
    return round(
      Math.max(
        ...own.map((move) => (name === "ballast" ? move.moved / move.leastSeen : move.moved / move.leastByWeights)),
      ),
    );
  };
  const peers = [...new Set(moves.map((move) => move.name))].filter((name) => name !== "ballast");
  return {
    max_deviation: maxDeviation("ballast"),
    mean_deviation: Object.fromEntries(of("ballast")?.deviations.map(({ picks, mean }) => [picks, round(mean)]) ?? []),
    moved_over_minimum: overMinimum("ballast"),
    away_from_home: away ?? null,
    peers: {
      max_deviation: Object.fromEntries(
        rows.filter((row) => row.name !== "ballast").map((row) => [row.name, maxDeviation(row.name)]),
      ),
      moved_over_minimum: Object.fromEntries(peers.map((name) => [name, overMinimum(name)])),
    },
  };
}

function round(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : Number(value.toFixed(3));
}
