import { BallastError } from "../../common/errors.ts";
import { parseJson, send } from "./servicenow-http.ts";

/** What goes into the Authorization header. */
export interface Credentials {
  header(signal: AbortSignal): Promise<string>;
  /** Called after a 401: true when another try can have another header. */
  renew(): boolean;
}

export function basicCredentials(user: string, password: string): Credentials {
  const header = `Basic ${Buffer.from(`${user}:${password}`, "utf8").toString("base64")}`;
  return { header: async () => header, renew: () => false };
}

export function bearerCredentials(token: string): Credentials {
  return { header: async () => `Bearer ${token}`, renew: () => false };
}

export interface OAuthOptions {
  url: string;
  user: string;
  password: string;
  clientId: string;
  clientSecret: string;
  monotonicMs?: () => number;
}

/** A token is renewed this long before it ends: a call must not start with one that ends on its way. */
const EARLY_MS = 30_000;
const MAX_TOKEN_ANSWER_BYTES = 64 << 10;

/**
 * A token of the instance's own OAuth endpoint: by the refresh token while that is taken, else by user and password. These
 * two grants are those that ServiceNow documents for `/oauth_token.do`; the body must be a form, JSON is refused there.
 */
export function oauthCredentials(options: OAuthOptions): Credentials {
  const { url, clientId, clientSecret } = options;
  const monotonicMs = options.monotonicMs ?? (() => performance.now());
  let access: { token: string; endsMs: number } | null = null;
  let refreshToken: string | null = null;
  // Calls that come together ask once.
  let asking: Promise<string> | null = null;

  const grant = async (form: Record<string, string>, signal: AbortSignal) => {
    const answer = await send(`${url}/oauth_token.do`, "POST /oauth_token.do", {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ ...form, client_id: clientId, client_secret: clientSecret }).toString(),
      signal,
      maxBytes: MAX_TOKEN_ANSWER_BYTES,
    });
    return answer;
  };
  const ask = async (signal: AbortSignal): Promise<string> => {
    if (refreshToken !== null) {
      const answer = await grant({ grant_type: "refresh_token", refresh_token: refreshToken }, signal);
      if (answer.status === 200) return take(answer.text);
      refreshToken = null;
    }
    const { user, password } = options;
    const answer = await grant({ grant_type: "password", username: user, password }, signal);
    if (answer.status === 200) return take(answer.text);
    const code = answer.status >= 500 || answer.status === 429 ? "TICKET_SYSTEM_DOWN" : "TICKET_AUTH";
    throw new BallastError(code, `POST /oauth_token.do: status ${answer.status}`);
  };
  const take = (text: string): string => {
    const parsed = parseJson(text) as Record<string, unknown> | undefined;
    const { access_token: token, expires_in: seconds, refresh_token: refresh } = parsed ?? {};
    if (typeof token !== "string" || token === "" || !Number.isFinite(Number(seconds))) {
      throw new BallastError("TICKET_ANSWER_INVALID", "POST /oauth_token.do: no access_token with expires_in");
    }
    if (typeof refresh === "string" && refresh !== "") refreshToken = refresh;
    access = { token, endsMs: monotonicMs() + Number(seconds) * 1000 };
    return token;
  };

  return {
    async header(signal) {
      if (access !== null && monotonicMs() < access.endsMs - EARLY_MS) return `Bearer ${access.token}`;
      asking ??= ask(signal).finally(() => {
        asking = null;
      });
      return `Bearer ${await asking}`;
    },
    renew() {
      const had = access !== null;
      access = null;
      return had;
    },
  };
}
