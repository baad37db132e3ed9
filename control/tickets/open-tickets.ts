import type { ServiceNowAuth, TicketsConfig } from "../config/tickets.ts";
import { type FollowOptions, TicketFollower } from "./follow.ts";
import { readSecret } from "./read-secret.ts";
import { ServiceNowTickets } from "./servicenow.ts";
import { basicCredentials, bearerCredentials, type Credentials, oauthCredentials } from "./servicenow-auth.ts";
import { ServiceNowHttp } from "./servicenow-http.ts";
import type { TicketSystem } from "./ticket-system.ts";

/** Tickets that are followed at a time: a few megabytes of log in the worst case. */
const MAX_LIVES = 1024;

export interface OpenTicketsOptions
  extends Pick<FollowOptions, "store" | "term" | "approve" | "refuse" | "log" | "wallMs"> {
  /** Section `tickets` of ballast.yaml; null: there is no ticket system. */
  config: TicketsConfig | null;
  fleet: string;
  /** sys_id of a service's CI; null when the estate has none. */
  ciOf: (service: string) => string | null;
}

/**
 * Starts to follow the log with the ticket system of ballast.yaml; null without one. Throws TICKET_SECRET_UNREADABLE and what
 * the store throws. It does not ask the ticket system: a server starts also while that is down.
 */
export async function openTickets(options: OpenTicketsOptions): Promise<TicketFollower | null> {
  const { config, fleet, ciOf, ...rest } = options;
  if (config === null) return null;
  const { approvals, whenDown, onConflict, pollEveryMs, windowMs } = config;
  return TicketFollower.start({
    ...rest,
    system: await openServiceNow(config.servicenow),
    rules: { fleet, ciOf, windowMs, standard: config.servicenow.standardTemplate !== null, maxLives: MAX_LIVES },
    policy: { approvals, whenDown, onConflict },
    pollEveryMs,
  });
}

export async function openServiceNow(
  config: TicketsConfig["servicenow"],
  env?: Readonly<Record<string, string | undefined>>,
): Promise<TicketSystem> {
  const { url, timeoutMs, standardTemplate, assignmentGroup, checkTimeoutMs } = config;
  const credentials = await credentialsOf(url, config.auth, env);
  const http = new ServiceNowHttp({ url, credentials, timeoutMs });
  return new ServiceNowTickets({ http, standardTemplate, assignmentGroup, checkTimeoutMs });
}

async function credentialsOf(
  url: string,
  auth: ServiceNowAuth,
  env?: Readonly<Record<string, string | undefined>>,
): Promise<Credentials> {
  switch (auth.kind) {
    case "basic":
      return basicCredentials(auth.user, await readSecret(auth.password, env));
    case "bearer":
      return bearerCredentials(await readSecret(auth.token, env));
    case "oauth": {
      const { user, clientId } = auth;
      const [password, clientSecret] = [await readSecret(auth.password, env), await readSecret(auth.clientSecret, env)];
      return oauthCredentials({ url, user, password, clientId, clientSecret });
    }
  }
}
