/** Names that the configuration, the filter and the tests must spell alike. */

/** Header by which the filter steers; stripped from clients, and not sent to upstreams. */
export const STEER_HEADER = "x-ballast-target";
/** Runtime key of the kill switch: percent of requests that take the static routes past the filter. */
export const KILL_SWITCH_KEY = "ballast.kill_switch";
/** Name of the filter in the chain; the kill-switch route disables it by this name. */
export const FILTER_NAME = "ballast";
export const CONTROL_CLUSTER = "ballast_control";
/** Carries a new session's key from one filter to the next; see `sessions.ts`. */
export const NEW_SESSION_HEADER = "x-ballast-new-session";
/** Carries the Set-Cookie text of a new session to the response. */
export const SET_COOKIE_HEADER = "x-ballast-set-cookie";

export const TYPE = "type.googleapis.com/envoy";

export type Json = Record<string, unknown>;
