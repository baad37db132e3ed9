import { BallastError } from "../../common/errors.ts";
import type { TicketPhase, TicketView } from "./ticket-system.ts";

/** change_request.state (facts of the base system: "State model and transitions"). */
export const STATE_OF = {
  new: "-5",
  assess: "-4",
  authorize: "-3",
  scheduled: "-2",
  implement: "-1",
  review: "0",
  closed: "3",
  canceled: "4",
} as const satisfies Record<TicketPhase, string>;

/** A record as the API answers it: `{value, display_value}` per field, some fields bare, numbers as numbers or texts. */
export type Fields = Readonly<Record<string, unknown>>;

/** The one record of an answer; creating and updating answer with a list of one in some releases. */
export function recordOf(result: unknown, what: string): Fields {
  const one = Array.isArray(result) && result.length === 1 ? result[0] : result;
  if (typeof one !== "object" || one === null || Array.isArray(one)) {
    throw new BallastError("TICKET_ANSWER_INVALID", `${what}: the result is no record`);
  }
  return one as Fields;
}

export function recordsOf(result: unknown, what: string): Fields[] {
  if (!Array.isArray(result)) throw new BallastError("TICKET_ANSWER_INVALID", `${what}: the result is no list`);
  return result.map((one) => recordOf(one, what));
}

/** The stored value of a field as text; empty when it is absent. */
export function storedOf(record: Fields, name: string): string {
  const field = record[name];
  const value = isNested(field) ? field.value : field;
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

export function displayOf(record: Fields, name: string): string {
  const field = record[name];
  if (!isNested(field)) return storedOf(record, name);
  return typeof field.display_value === "string" ? field.display_value : storedOf(record, name);
}

function isNested(field: unknown): field is { value?: unknown; display_value?: unknown } {
  return typeof field === "object" && field !== null && !Array.isArray(field);
}

export function phaseOf(record: Fields): TicketPhase {
  const text = storedOf(record, "state");
  const state = text === "" ? Number.NaN : Number(text);
  for (const [phase, code] of Object.entries(STATE_OF)) if (Number(code) === state) return phase as TicketPhase;
  const shown = `${JSON.stringify(text.slice(0, 40))} (${displayOf(record, "state").slice(0, 40)})`;
  throw new BallastError("TICKET_ANSWER_INVALID", `state ${shown} is none of the base change states`);
}

export function approvalFieldOf(record: Fields): TicketView["approval"] {
  switch (storedOf(record, "approval")) {
    case "approved":
      return "approved";
    case "rejected":
      return "rejected";
    case "requested":
      return "requested";
    default:
      return "notRequested";
  }
}

/** `yyyy-MM-dd HH:mm:ss` in UTC: how stored values of dates are written. */
export function toStored(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

export function fromStored(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/.test(text)) return null;
  const ms = Date.parse(`${text.replace(" ", "T")}Z`);
  return Number.isNaN(ms) ? null : ms;
}
