import { ServiceNowTickets } from "../../control/tickets/servicenow.ts";
import { basicCredentials, type Credentials } from "../../control/tickets/servicenow-auth.ts";
import { ServiceNowHttp } from "../../control/tickets/servicenow-http.ts";
import type { TicketDraft } from "../../control/tickets/ticket-system.ts";
import type { User } from "./fake-changes.ts";
import { type FakeOptions, FakeServiceNow } from "./fake-servicenow.ts";

const user = (account: string, fullName: string, ...roles: string[]): User => ({
  account,
  password: `${account}-secret`,
  fullName,
  email: `${account}@example.org`,
  roles,
});

export const USERS = {
  ballast: user("ballast.integration", "Ballast Integration", "itil"),
  nobody: user("no.role", "No Role"),
  reader: user("only.reads", "Only Reads", "sn_change_read"),
  alice: user("alice", "Alice Author", "itil"),
  peer: user("peer.one", "Peer One", "itil"),
  board: user("cab.one", "Carla Board", "change_manager"),
};
export const CI = { pay: "a".repeat(32), web: "b".repeat(32) };
export const GROUP = "c".repeat(32);
export const TEMPLATE = "d".repeat(32);
export const CLIENT = { id: "ballast-client", secret: "client-secret" };

export interface Stand {
  fake: FakeServiceNow;
  url: string;
  tickets: ServiceNowTickets;
  /** Another client of the same instance. */
  connect(credentials: Credentials, options?: ConnectOptions): ServiceNowTickets;
  /** Decides as a person would, over HTTP; a number of a change. */
  decide(who: User, number: string, state: "approved" | "rejected", comments?: string): Promise<number>;
  stop(): Promise<void>;
}

export interface ConnectOptions {
  standardTemplate?: string | null;
  assignmentGroup?: string | null;
  timeoutMs?: number;
  maxBytes?: number;
  maxRetryAfterMs?: number;
  checkTimeoutMs?: number;
}

/** A fake instance on a port of its own and the adapter in front of it, with pauses of milliseconds. */
export async function startStand(options: Partial<FakeOptions> = {}): Promise<Stand> {
  const fake = new FakeServiceNow({
    users: Object.values(USERS),
    client: CLIENT,
    cis: Object.values(CI),
    groups: [GROUP],
    templates: [TEMPLATE],
    assessors: [USERS.peer],
    board: [USERS.board],
    ...options,
  });
  const url = await fake.start();
  const connect: Stand["connect"] = (credentials, given = {}) => {
    const { timeoutMs = 5000, maxBytes, maxRetryAfterMs, checkTimeoutMs = 2000 } = given;
    const { standardTemplate = TEMPLATE, assignmentGroup = GROUP } = given;
    const http = new ServiceNowHttp({
      url,
      credentials,
      timeoutMs,
      retryBaseMs: 2,
      ...(maxBytes === undefined ? {} : { maxBytes }),
      ...(maxRetryAfterMs === undefined ? {} : { maxRetryAfterMs }),
    });
    return new ServiceNowTickets({ http, standardTemplate, assignmentGroup, checkTimeoutMs, checkEveryMs: 2 });
  };
  return {
    fake,
    url,
    tickets: connect(basicCredentials(USERS.ballast.account, USERS.ballast.password)),
    connect,
    async decide(who, number, state, comments = "") {
      const { sysId } = fake.table.byNumber(number);
      const response = await fetch(`${url}/api/sn_chg_rest/change/${sysId}/approvals`, {
        method: "PATCH",
        headers: {
          accept: "application/json",
          "content-type": "application/json",
          authorization: `Basic ${Buffer.from(`${who.account}:${who.password}`).toString("base64")}`,
        },
        body: JSON.stringify({ state, comments }),
      });
      await response.arrayBuffer();
      return response.status;
    },
    stop: () => fake.stop(),
  };
}

const START_MS = Date.UTC(2026, 2, 2, 7);

export function ticketDraft(over: Partial<TicketDraft> = {}): TicketDraft {
  return {
    type: "normal",
    correlationId: "ballast:demo:12",
    summary: "Traffic weights of payments (epoch 12)",
    description: "payments: pay-a 50.00% → 20.00%",
    justification: "CHG0031007 on pay-db-b",
    backoutPlan: "ballast rollback --to 11",
    cis: [CI.pay],
    plannedStartMs: START_MS,
    plannedEndMs: START_MS + 3_600_000,
    ...over,
  };
}
