import { explain } from "./explained.ts";
import { type Json, NEW_SESSION_HEADER, SET_COOKIE_HEADER, TYPE } from "./names.ts";

/**
 * Sessions that Envoy issues itself. A session begins with the first request that carries its key; where clients hold none, the first
 * request gets one here: it is put into the request before the filter sees it, so that the very first request already goes to the
 * session's target, and into the response as a Set-Cookie.
 *
 * It takes native filters only: one mutation before routing makes the key, a route of newcomers (no such cookie yet) puts it into the
 * Cookie header, and the response header is left out by Envoy wherever the request header it copies is absent.
 */
export interface Issue {
  cookie: string;
  /** Attributes after the value, for example `Path=/; HttpOnly; Secure; SameSite=Lax`. */
  attributes: string;
}

export const SESSION_FILTER_NAME = "ballast_new_session";

const PER_ROUTE = `${TYPE}.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute`;

/** Matches a Cookie header that holds the session's cookie with a value; RE2, the whole header. */
export function sessionMatch(cookie: string): string {
  const name = cookie.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return `(?:.*;\\s*)?${name}=[^;]+(?:;.*)?`;
}

/** The newcomers' routes: those with other cookies, and those with none. */
export function issueSession({ cookie, attributes }: Issue): { headers: Json[]; rest: Json }[] {
  const key = `%REQ(${NEW_SESSION_HEADER})%`;
  const rest = (cookieText: string): Json => ({
    typed_per_filter_config: {
      [SESSION_FILTER_NAME]: {
        "@type": PER_ROUTE,
        mutations: {
          request_mutations: [
            overwrite("cookie", cookieText),
            overwrite(SET_COOKIE_HEADER, `${cookie}=${key}; ${attributes}`),
          ],
        },
      },
    },
  });
  const holds = { name: "cookie", string_match: { safe_regex: { regex: sessionMatch(cookie) } } };
  return [
    {
      headers: [
        { name: "cookie", present_match: true },
        { ...holds, invert_match: true },
      ],
      rest: rest(`%REQ(cookie)%; ${cookie}=${key}`),
    },
    {
      headers: [{ name: "cookie", present_match: true, invert_match: true }],
      rest: rest(`${cookie}=${key}`),
    },
  ];
}

/** Before routing: a fresh key for every request, whatever the client sent. */
export function newSessionMutations(): Json[] {
  return [{ remove: SET_COOKIE_HEADER }, overwrite(NEW_SESSION_HEADER, "%UNIQUE_ID%")];
}

/** In the chain, before Ballast's filter: does only what the newcomers' routes say. */
export function newSessionFilter(): Json {
  return explain(
    {
      name: SESSION_FILTER_NAME,
      typed_config: { "@type": `${TYPE}.extensions.filters.http.header_mutation.v3.HeaderMutation` },
    },
    { name: "[ballast] Gives newcomers their session before the filter below looks for it." },
  );
}

/** For the virtual host: left out by Envoy for everybody but newcomers. */
export function setCookieHeader(): Json {
  return {
    header: { key: "set-cookie", value: `%REQ(${SET_COOKIE_HEADER})%` },
    append_action: "APPEND_IF_EXISTS_OR_ADD",
  };
}

function overwrite(key: string, value: string): Json {
  return { append: { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" } };
}
