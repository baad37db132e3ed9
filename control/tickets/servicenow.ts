import { BallastError } from "../../common/errors.ts";
import {
  approvalFieldOf,
  displayOf,
  type Fields,
  fromStored,
  phaseOf,
  recordOf,
  recordsOf,
  STATE_OF,
  storedOf,
  toStored,
} from "./servicenow-fields.ts";
import { type HttpCall, pause, type ServiceNowHttp } from "./servicenow-http.ts";
import type {
  CallOptions,
  Conflict,
  Decision,
  OpenedTicket,
  TicketDraft,
  TicketOutcome,
  TicketPhase,
  TicketRef,
  TicketSystem,
  TicketUpdate,
  TicketView,
} from "./ticket-system.ts";

export interface ServiceNowOptions {
  http: ServiceNowHttp;
  /** sys_id of the template that standard changes are made from; null: none are opened. */
  standardTemplate: string | null;
  /** sys_id; the base system demands a group before a change is submitted. Null: a rule of the instance sets it. */
  assignmentGroup: string | null;
  /** Longest wait for a check or a worker of the instance. Default 60 s. */
  checkTimeoutMs?: number;
  /** Time between two looks at it. Default 1 s. */
  checkEveryMs?: number;
}

const CHANGE = "/api/sn_chg_rest/change";
const MAX_CONFLICTS = 20;
const MAX_DECISIONS = 50;
/** More than one ticket with one correlation id is somebody's copy. */
const MAX_FOUND = 10;
/** States of a conflict check's job; the documentation shows 2 for one that has ended well, the rest is that of execution trackers. */
const JOB_DONE = "2";
const JOB_FAILED = new Set(["3", "4"]);
/** chg_mgt_worker: 1 Waiting, 2 In-Progress, 3 Complete, 4 Error. */
const WORKER_DONE = "3";
const WORKER_FAILED = "4";

/**
 * ServiceNow's Change Management API (`/api/sn_chg_rest/change`, documented for Xanadu to Australia), and of the Table API
 * the one table that names approvers. Uses what the documentation says and nothing else: creates by `POST change` (the calls
 * for normal and emergency changes document no body, and an explanation does not fit into a URL), standard changes from a
 * template.
 */
export class ServiceNowTickets implements TicketSystem {
  readonly name = "servicenow";
  readonly #options: Required<ServiceNowOptions>;

  constructor(options: ServiceNowOptions) {
    this.#options = { checkTimeoutMs: 60_000, checkEveryMs: 1_000, ...options };
  }

  async open(draft: TicketDraft, options: CallOptions = {}): Promise<OpenedTicket> {
    const found = await this.#find(draft.correlationId, options);
    const record = found ?? (await this.#create(draft, options));
    const ticket = this.#refOf(record);
    const more = draft.cis.length > 1 && phaseOf(record) === "new";
    const lost = more && !(await this.#affect(ticket, draft.cis, options)) ? ["affected CIs"] : [];
    const wanted = {
      correlation_id: draft.correlationId,
      ...(draft.cis[0] === undefined ? {} : { cmdb_ci: draft.cis[0] }),
    };
    const ignored = Object.entries(wanted).flatMap(([name, value]) => (storedOf(record, name) === value ? [] : [name]));
    return { ticket, ignored: [...ignored, ...lost] };
  }

  async checkConflicts(ticket: TicketRef, options: CallOptions = {}): Promise<readonly Conflict[]> {
    const path = `${CHANGE}/${ticket.id}/conflict`;
    // The answer may still be of an earlier check, made before the dates were changed.
    const earlier = recordOf(await this.#call({ method: "GET", path, ...options }), path);
    await this.#call({ method: "POST", path, ...options });
    const report = await this.#until(`the conflict check of ${ticket.number}`, options, async () => {
      const seen = recordOf(await this.#call({ method: "GET", path, ...options }), path);
      const job = storedOf(seen, "job_status");
      if (storedOf(seen, "last_run") === storedOf(earlier, "last_run")) return null;
      if (JOB_FAILED.has(job)) {
        throw new BallastError(
          "TICKET_CHECK_PENDING",
          `the conflict check of ${ticket.number} ended with status ${job}`,
        );
      }
      return job === JOB_DONE ? seen : null;
    });
    // `status` says "Conflict" also when there is none: only the list counts.
    const { conflicts } = report;
    if (!Array.isArray(conflicts)) throw new BallastError("TICKET_ANSWER_INVALID", `${path}: no list of conflicts`);
    return conflicts.slice(0, MAX_CONFLICTS).map((one) => conflictOf(recordOf(one, path)));
  }

  async approvalState(ticket: TicketRef, options: CallOptions = {}): Promise<TicketView> {
    const record = await this.#get(ticket, options);
    const approval = approvalFieldOf(record);
    const decided = approval === "approved" || approval === "rejected";
    return {
      phase: phaseOf(record),
      approval,
      decisions: decided ? await this.#decisions(ticket, options) : [],
      openedBy: texts([
        storedOf(record, "opened_by"),
        displayOf(record, "opened_by"),
        storedOf(record, "sys_created_by"),
      ]),
    };
  }

  async update(ticket: TicketRef, change: TicketUpdate, options: CallOptions = {}): Promise<void> {
    if (phaseOf(await this.#get(ticket, options)) === change.phase) return;
    await this.#patch(
      ticket,
      change.phase,
      {
        ...(change.note === undefined ? {} : { work_notes: change.note }),
        ...(change.startedAtMs === undefined ? {} : { work_start: toStored(change.startedAtMs) }),
      },
      options,
    );
  }

  async close(ticket: TicketRef, outcome: TicketOutcome, options: CallOptions = {}): Promise<void> {
    const phase = phaseOf(await this.#get(ticket, options));
    if (phase === "closed") return;
    if (phase !== "review") {
      const { startedAtMs, endedAtMs } = outcome;
      await this.#patch(
        ticket,
        "review",
        { work_start: toStored(startedAtMs), work_end: toStored(endedAtMs) },
        options,
      );
    }
    await this.#patch(ticket, "closed", { close_code: outcome.code, close_notes: outcome.notes }, options);
  }

  async #find(correlationId: string, options: CallOptions): Promise<Fields | null> {
    if (/[\^\s]/.test(correlationId)) throw new Error(`not a correlation id: ${correlationId}`);
    const query = {
      sysparm_query: `correlation_id=${correlationId}^ORDERBYsys_created_on`,
      sysparm_limit: String(MAX_FOUND),
    };
    const records = recordsOf(await this.#call({ method: "GET", path: CHANGE, query, ...options }), `GET ${CHANGE}`);
    // An instance ignores the parts of a query that it does not understand and answers with other tickets.
    return records.find((record) => storedOf(record, "correlation_id") === correlationId) ?? null;
  }

  async #create(draft: TicketDraft, options: CallOptions): Promise<Fields> {
    const { standardTemplate, assignmentGroup } = this.#options;
    const fields = {
      correlation_id: draft.correlationId,
      correlation_display: "Ballast",
      short_description: draft.summary,
      start_date: toStored(draft.plannedStartMs),
      end_date: toStored(draft.plannedEndMs),
      ...(draft.cis[0] === undefined ? {} : { cmdb_ci: draft.cis[0] }),
      ...(assignmentGroup === null ? {} : { assignment_group: assignmentGroup }),
    };
    if (draft.type !== "standard") {
      const { type, description, justification, backoutPlan } = draft;
      const body = { ...fields, type, description, justification, backout_plan: backoutPlan };
      return recordOf(await this.#call({ method: "POST", path: CHANGE, body, ...options }), `POST ${CHANGE}`);
    }
    if (standardTemplate === null) throw new Error("no standard change without a template");
    // Of a template only some fields may be set, by the query; its description and plans are fixed.
    const path = `${CHANGE}/standard/${standardTemplate}`;
    const record = recordOf(await this.#call({ method: "POST", path, query: fields, ...options }), `POST ${path}`);
    const body = { work_notes: draft.description };
    await this.#call({ method: "PATCH", path: `${CHANGE}/${storedOf(record, "sys_id")}`, body, ...options });
    return this.#get(this.#refOf(record), options);
  }

  /** The other CIs, which the conflict check looks at as well. False when the instance does not take all of them. */
  async #affect(ticket: TicketRef, cis: readonly string[], options: CallOptions): Promise<boolean> {
    const body = { cmdb_ci_sys_ids: cis.join(","), association_type: "affected" };
    const path = `${CHANGE}/${ticket.id}/ci`;
    let state = await this.#call({ method: "POST", path, body, repeatable: true, ...options });
    return this.#until(`the worker that adds CIs to ${ticket.number}`, options, async () => {
      const worker = recordOf(state, path);
      const status = storedOf(worker, "state");
      if (status === WORKER_DONE || status === WORKER_FAILED) return status === WORKER_DONE;
      const id = storedOf(recordOf(worker.worker, path), "sysId");
      state = await this.#call({ method: "GET", path: `${CHANGE}/worker/${encodeURIComponent(id)}`, ...options });
      return null;
    });
  }

  async #decisions(ticket: TicketRef, options: CallOptions): Promise<Decision[]> {
    const path = "/api/now/table/sysapproval_approver";
    const query = {
      sysparm_query: `sysapproval=${ticket.id}^stateINapproved,rejected^ORDERBYDESCsys_updated_on`,
      sysparm_fields: "state,approver,approver.user_name,approver.email,comments,sys_updated_on",
      sysparm_display_value: "all",
      sysparm_limit: String(MAX_DECISIONS),
    };
    const rows = recordsOf(await this.#call({ method: "GET", path, query, ...options }), `GET ${path}`);
    return rows.flatMap((row) => {
      const verdict = storedOf(row, "state");
      const names = texts([
        storedOf(row, "approver.user_name"),
        displayOf(row, "approver"),
        storedOf(row, "approver.email"),
        storedOf(row, "approver"),
      ]);
      if ((verdict !== "approved" && verdict !== "rejected") || names[0] === undefined) return [];
      const atMs = fromStored(storedOf(row, "sys_updated_on"));
      return [{ verdict, by: names[0], names, atMs, comment: displayOf(row, "comments").slice(0, 500) }];
    });
  }

  async #get(ticket: TicketRef, options: CallOptions): Promise<Fields> {
    const path = `${CHANGE}/${ticket.id}`;
    return recordOf(await this.#call({ method: "GET", path, ...options }), `GET ${path}`);
  }

  async #patch(ticket: TicketRef, phase: TicketPhase, fields: Fields, options: CallOptions): Promise<void> {
    const path = `${CHANGE}/${ticket.id}`;
    const body = { state: STATE_OF[phase], ...fields };
    // A note is added, not set: it would stand there twice.
    const repeatable = !("work_notes" in fields);
    let record: Fields;
    try {
      record = recordOf(await this.#call({ method: "PATCH", path, body, repeatable, ...options }), `PATCH ${path}`);
    } catch (thrown) {
      if (!(thrown instanceof BallastError) || thrown.code !== "TICKET_REFUSED") throw thrown;
      const next = await this.#nextStates(ticket, options);
      throw new BallastError("TICKET_REFUSED", `${ticket.number} to ${phase}: ${thrown.message}${next}`, {
        cause: thrown,
      });
    }
    // A business rule may end an update without an error.
    const reached = phaseOf(record);
    if (reached !== phase) {
      const next = await this.#nextStates(ticket, options);
      throw new BallastError("TICKET_REFUSED", `${ticket.number} stays in ${reached} instead of ${phase}${next}`);
    }
  }

  /** For the message of a refusal; empty when it cannot be had. */
  async #nextStates(ticket: TicketRef, options: CallOptions): Promise<string> {
    const path = `${CHANGE}/${ticket.id}/nextstates`;
    try {
      const { available_states: states, state_label: labels } = recordOf(
        await this.#call({ method: "GET", path, ...options }),
        path,
      );
      const label = (labels ?? {}) as Record<string, unknown>;
      return Array.isArray(states)
        ? ` (it accepts ${states.map((state) => label[String(state)] ?? state).join(", ")})`
        : "";
    } catch (thrown) {
      if (thrown instanceof BallastError) return "";
      throw thrown;
    }
  }

  #refOf(record: Fields): TicketRef {
    const id = storedOf(record, "sys_id");
    // It becomes part of paths.
    if (!/^[0-9a-f]{32}$/i.test(id)) throw new BallastError("TICKET_ANSWER_INVALID", "a change without a sys_id");
    const number = storedOf(record, "number") || id;
    return { id, number, url: `${this.#options.http.url}/change_request.do?sys_id=${id}` };
  }

  async #until<T>(what: string, { signal }: CallOptions, look: () => Promise<T | null>): Promise<T> {
    const { checkTimeoutMs, checkEveryMs } = this.#options;
    const endMs = performance.now() + checkTimeoutMs;
    for (;;) {
      const seen = await look();
      if (seen !== null) return seen;
      if (performance.now() + checkEveryMs > endMs) {
        throw new BallastError("TICKET_CHECK_PENDING", `${what} did not end in ${checkTimeoutMs} ms`);
      }
      await pause(checkEveryMs, signal);
    }
  }

  #call(call: HttpCall): Promise<unknown> {
    return this.#options.http.call(call);
  }
}

function conflictOf(record: Fields): Conflict {
  const type = storedOf(record, "type") || "unknown";
  const parts = ["conflicting_change", "blackout_schedule", "configuration_item"].flatMap((name) => {
    const text = displayOf(record, name);
    return text === "" ? [] : [text];
  });
  return { type, text: [displayOf(record, "type") || type, ...parts].join(", ").slice(0, 300) };
}

function texts(values: readonly string[]): string[] {
  return [...new Set(values.filter((value) => value.trim() !== ""))];
}
