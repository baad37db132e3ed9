import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { parse, stringify } from "yaml";
import { SimulatedFilter } from "../xds/simulated-filter.ts";
import { type Serving, serve } from "./serve.ts";
import type { StatusView } from "./status.ts";

const log = pino({ level: "silent" });

export interface StandOptions {
  /** Planning seconds per wall second; 1 keeps the calendar where it starts. */
  rate?: number;
  /** Changes the demo's ballast.yaml. */
  // biome-ignore lint/suspicious/noExplicitAny: a YAML document under the test's hand
  edit?: (yaml: any) => void;
}

/**
 * The whole control server on the demo's estate, with a simulated filter as its fleet and an admin endpoint on which every
 * target is as healthy as `healthy` says. Every answer of the API is held against its schema.
 */
export class Stand {
  readonly dir: string;
  readonly configPath: string;
  readonly healthy: Map<string, boolean>;
  /** Requests that each target has answered; a test adds to them. */
  readonly completed: Map<string, number>;
  /** What change control takes for the wall clock is this much ahead, ms. */
  wallAheadMs = 0;
  server!: Serving;
  filter!: SimulatedFilter;
  readonly #stopAdmin: () => void;

  private constructor(
    dir: string,
    configPath: string,
    { healthy, completed }: Pick<Stand, "healthy" | "completed">,
    stopAdmin: () => void,
  ) {
    this.dir = dir;
    this.configPath = configPath;
    this.healthy = healthy;
    this.completed = completed;
    this.#stopAdmin = stopAdmin;
  }

  static async start(options: StandOptions = {}): Promise<Stand> {
    const dir = await mkdtemp(join(tmpdir(), "ballast-stand-"));
    const healthy = new Map<string, boolean>();
    const completed = new Map<string, number>();
    const admin = createServer((request, response) => {
      response.setHeader("content-type", "application/json");
      if (request.url?.startsWith("/ready")) return response.end("LIVE");
      if (request.url?.startsWith("/server_info")) return response.end(JSON.stringify({ node: { id: "edge-1" } }));
      response.end(JSON.stringify(request.url?.startsWith("/clusters") ? clusters(healthy) : stats(completed)));
    });
    await new Promise<void>((resolve) => admin.listen(0, "127.0.0.1", resolve));
    const { port } = admin.address() as { port: number };
    const yaml = parse(await readFile("demo/ballast.yaml", "utf8"));
    yaml.clock.rate = options.rate ?? 1;
    yaml.server = { xds: "127.0.0.1:0", api: "127.0.0.1:0" };
    yaml.envoy.admin = [`http://127.0.0.1:${port}`];
    yaml.store.sqlite = join(dir, "store.db");
    yaml.policy.telemetryMaxAge = "10h";
    // The clock of a test stands nearly still: what it is not about must not wait for a bake.
    yaml.rollout = { bakeTime: "0s", slotStep: "100%" };
    options.edit?.(yaml);
    for (const service of Object.values<{ targets: object }>(yaml.services)) {
      for (const target of Object.keys(service.targets)) healthy.set(target, true);
    }
    const configPath = join(dir, "ballast.yaml");
    await writeFile(configPath, stringify(yaml));
    const stand = new Stand(dir, configPath, { healthy, completed }, () => {
      admin.closeAllConnections();
      admin.close();
    });
    try {
      await stand.#serve(Date.now());
    } catch (thrown) {
      stand.#stopAdmin();
      await rm(dir, { recursive: true, force: true });
      throw thrown;
    }
    stand.filter = new SimulatedFilter({
      port: stand.server.xdsPort,
      fleet: "demo",
      id: "edge-1",
      instance: "a",
    }).open();
    return stand;
  }

  get storePath(): string {
    return join(this.dir, "store.db");
  }

  get address(): string {
    return `127.0.0.1:${this.server.apiPort}`;
  }

  /** The status and parsed answer of one call; strings come back for text. */
  async call(
    method: "GET" | "POST",
    path: string,
    body?: unknown,
    token?: string,
  ): Promise<{ status: number; body: Record<string, unknown> & { code?: string } }> {
    const response = await fetch(`http://${this.address}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    const text = await response.text();
    const json = response.headers.get("content-type")?.startsWith("application/json") === true;
    return { status: response.status, body: json ? JSON.parse(text) : { text } };
  }

  async status(): Promise<StatusView> {
    return (await this.call("GET", "/v1/status")).body as unknown as StatusView;
  }

  /** Waits until the status is as asked for. */
  async until(what: string, check: (view: StatusView) => boolean): Promise<StatusView> {
    for (let tries = 0; tries < 1_200; tries++) {
      const view = await this.status();
      if (check(view)) return view;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never came: ${what}`);
  }

  async restart(): Promise<void> {
    this.filter.close();
    await this.server.stop();
    await this.#serve();
    this.filter.options.port = this.server.xdsPort;
    this.filter.open();
  }

  async stop(): Promise<void> {
    this.filter.close();
    await this.server.stop();
    this.#stopAdmin();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #serve(anchorMs?: number): Promise<void> {
    this.server = await serve({
      configPath: this.configPath,
      log,
      checkAnswers: true,
      wallMs: () => Date.now() + this.wallAheadMs,
      ...(anchorMs === undefined ? {} : { anchorMs }),
    });
  }
}

/** Share of sessions of one target, ppm. */
export function share(view: StatusView, target: string): number {
  for (const service of view.services) {
    const found = service.targets.find(({ name }) => name === target);
    if (found !== undefined) return found.stickyPpm;
  }
  throw new Error(`no target ${target}`);
}

function clusters(healthy: ReadonlyMap<string, boolean>): object {
  return {
    cluster_statuses: [...healthy].map(([name, up]) => ({
      name,
      host_statuses: [
        {
          address: { socket_address: { address: "127.0.0.1", port_value: 1 } },
          stats: [],
          health_status: up
            ? { eds_health_status: "HEALTHY" }
            : { failed_active_health_check: true, eds_health_status: "HEALTHY" },
        },
      ],
    })),
  };
}

function stats(completed: ReadonlyMap<string, number>): object {
  return {
    stats: [...completed].map(([name, value]) => ({ name: `cluster.${name}.upstream_rq_completed`, value })),
  };
}
