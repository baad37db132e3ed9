import { BallastError } from "../../common/errors.ts";
import * as schema from "./api-schemas.ts";
import { ApiAnswer, type ApiRoute } from "./api-server.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "./metrics-text.ts";

/** What a server knows that does not lead (yet). */
export interface StandbyView {
  /** Reads its inputs and the store; waits for the lead. */
  phase: "starting" | "standby";
  /** Who leads, as the lease names it; null while the store does not answer. */
  leader: string | null;
}

/**
 * What a server answers before it leads: that it is there and that it is not ready, so that a balancer leaves it alone. Its
 * xDS port is not even bound: an Envoy that tries it is refused at once and goes on to the next address.
 */
export function standbyRoutes(view: () => StandbyView): readonly ApiRoute[] {
  const waits = () => {
    const { phase, leader } = view();
    if (phase === "starting") return "starting";
    return leader === null ? "waits for the lead; the store does not answer" : `waits for the lead; ${leader} leads`;
  };
  const common = { method: "GET", body: null } as const;
  return [
    {
      ...common,
      path: "/healthz",
      summary: "The process runs",
      role: null,
      answer: schema.HealthAnswer,
      handle: () => ({ status: view().phase }),
    },
    {
      ...common,
      path: "/readyz",
      summary: "503: another server leads, or none does yet",
      role: null,
      answer: schema.ReadyAnswer,
      handle: () => {
        const checks = [{ name: "lead", ok: false, text: waits() }];
        const answer = { ready: false, role: view().phase, checks };
        return new ApiAnswer(503, "application/json", `${JSON.stringify(answer)}\n`);
      },
    },
    {
      ...common,
      path: "/metrics",
      summary: "Metrics in the text format of Prometheus",
      role: "viewer",
      answer: null,
      handle: () => new ApiAnswer(200, METRICS_CONTENT_TYPE, metricsText([leaderMetric(false)])),
    },
  ];
}

/** The refusal of everything else; the leader answers it. */
export function notLeading({ phase, leader }: StandbyView): BallastError {
  const what = phase === "starting" ? "this server is starting" : "this server waits for the lead";
  return new BallastError("SERVER_STANDBY", leader === null ? what : `${what}; ${leader} leads`);
}

export function leaderMetric(leads: boolean) {
  return {
    name: "ballast_leader",
    help: "1 on the server that leads, 0 on one that waits.",
    type: "gauge" as const,
    samples: [{ value: leads ? 1 : 0 }],
  };
}
