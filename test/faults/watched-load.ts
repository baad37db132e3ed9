import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { DEMO_HEADERS } from "../../envoy/demo.ts";
import type { Rig } from "../e2e/fixture/rig.ts";

/** Asked of Envoy and told by it: service, target and epoch by which the filter chose. */
export const DEBUG_HEADER = "x-ballast-debug";

export interface Seen {
  service: string;
  /** 0 when there was no answer. */
  status: number;
  /** The backend that answered, as it says itself. */
  servedBy: string;
  /** The filter's pick and the epoch it was made by; null for a request that was not steered. */
  picked: { target: string; epoch: number } | null;
  sentMs: number;
  doneMs: number;
  error?: string;
}

const TIMEOUT_MS = 15_000;

/** Requests at a fixed rate to one Envoy until it is stopped; every answer is kept with the epoch by which it was steered. */
export class WatchedLoad {
  readonly seen: Seen[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8, scheduling: "fifo" });
  readonly #port: number;
  readonly #host: string;
  readonly #done: Promise<void>;
  #stopped = false;
  #open = 0;

  constructor(
    rig: Pick<Rig, "later">,
    options: { port: number; host?: string; services: readonly string[]; rps: number },
  ) {
    this.#port = options.port;
    this.#host = options.host ?? "127.0.0.1";
    rig.later(() => this.#agent.destroy());
    this.#done = this.#run(options);
    rig.later(() => this.stop());
  }

  async #run({ services, rps }: { services: readonly string[]; rps: number }): Promise<void> {
    const startMs = performance.now();
    let sent = 0;
    while (!this.#stopped) {
      const due = ((performance.now() - startMs) / 1000) * rps;
      // A generator that was starved skips what it missed: a burst would be another load than was asked for.
      if (due - sent > rps / 2) sent = due;
      for (; sent < due && !this.#stopped; sent++) {
        const turn = Math.floor(sent);
        this.#send(services[turn % services.length]!, turn % 2 === 0 ? { cookie: `sid=s-${turn % 64}` } : {});
      }
      await sleep(5);
    }
    while (this.#open > 0) await sleep(5);
  }

  #send(service: string, headers: Record<string, string>): void {
    const sentMs = performance.now();
    this.#open++;
    const done = (seen: Pick<Seen, "status" | "servedBy" | "picked" | "error">) => {
      this.#open--;
      this.seen.push({ service, sentMs, doneMs: performance.now(), ...seen });
    };
    const fail = (error: string) => done({ status: 0, servedBy: "", picked: null, error });
    const call = request(
      {
        host: this.#host,
        port: this.#port,
        path: `/${service}`,
        agent: this.#agent,
        headers: { ...headers, [DEBUG_HEADER]: "1" },
        timeout: TIMEOUT_MS,
      },
      (response) => {
        response.resume();
        response.once("error", (error) => fail(error.message));
        response.once("end", () => {
          const picked = /^(\S+) (\S+) (\d+)$/.exec(String(response.headers[DEBUG_HEADER] ?? ""));
          done({
            status: response.statusCode ?? 0,
            servedBy: String(response.headers[DEMO_HEADERS.servedBy] ?? ""),
            picked: picked === null ? null : { target: picked[2]!, epoch: Number(picked[3]) },
          });
        });
      },
    );
    call.once("timeout", () => call.destroy(new Error("timeout")));
    call.once("error", (error) => fail(error.message));
    call.end();
  }

  /** Resolves when a request that was sent from now on was steered by this epoch or a later one. */
  async reaches(epoch: number, timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (let from = this.seen.length; performance.now() < deadline; await sleep(20)) {
      for (; from < this.seen.length; from++) if ((this.seen[from]!.picked?.epoch ?? 0) >= epoch) return;
    }
    throw new Error(`no request was steered by epoch ${epoch}`);
  }

  /** Sends no more and waits for the answers under way. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }
}
