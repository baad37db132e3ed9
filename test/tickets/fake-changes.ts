/**
 * FAKE: the change records of a ServiceNow instance, as its documentation describes them ("Change Management API", "State model
 * and transitions", "Conflict detection"). It holds no more than Ballast's adapter needs and refuses what the documented
 * product refuses. It is no ServiceNow: an instance's own rules, models and access lists are not in it.
 */
import { createHash } from "node:crypto";

export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface User {
  /** sys_user.user_name */
  account: string;
  password: string;
  fullName: string;
  email: string;
  roles: readonly string[];
}

export interface Approver {
  user: User;
  state: "requested" | "approved" | "rejected" | "cancelled";
  comments: string;
  updatedOn: string;
}

export interface Check {
  lastRun: string;
  looksLeft: number;
  conflicts: { type: string; label: string }[];
}

export interface Change {
  sysId: string;
  /** By column name, stored values. */
  fields: Map<string, string>;
  workNotes: string[];
  approvers: Approver[];
  affected: Set<string>;
  /** A check that runs ends after `looksLeft` more looks at it. */
  check: Check | null;
  /** The result of the check before, which the next look still finds: the new one is only queued. */
  earlierCheck: Check | null;
}

export const LABELS: Readonly<Record<string, string>> = {
  "-5": "New",
  "-4": "Assess",
  "-3": "Authorize",
  "-2": "Scheduled",
  "-1": "Implement",
  "0": "Review",
  "3": "Closed",
  "4": "Canceled",
};

/** What a person (or a caller of the API) may set; Scheduled of normal and emergency changes comes from approvals alone. */
const NEXT: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  normal: { "-5": ["-4", "4"], "-4": ["-5", "4"], "-3": ["-5", "4"], "-2": ["-1", "4"], "-1": ["0", "4"], "0": ["3"] },
  standard: { "-5": ["-2", "4"], "-2": ["-1", "4"], "-1": ["0", "4"], "0": ["3"] },
  emergency: { "-5": ["-3", "4"], "-3": ["-5", "4"], "-2": ["-1", "4"], "-1": ["0", "4"], "0": ["3"] },
};
const CLOSE_CODES = ["successful", "successful_issues", "unsuccessful"];
const DATES = ["start_date", "end_date", "work_start", "work_end"];
const WRITABLE = new Set([
  ...[
    "state",
    "type",
    "short_description",
    "description",
    "justification",
    "backout_plan",
    "cmdb_ci",
    "assignment_group",
  ],
  ...["correlation_id", "correlation_display", "close_code", "close_notes", ...DATES],
]);
/** What a standard change takes from its template whatever the call says. */
const OF_TEMPLATE = ["description", "backout_plan", "test_plan", "implementation_plan"];

export interface ChangeTableOptions {
  cis: readonly string[];
  groups: readonly string[];
  templates: readonly string[];
  /** Who approves in Assess, and in Authorize. Empty: the instance approves by itself, in nobody's name. */
  assessors: readonly User[];
  board: readonly User[];
}

/** The table change_request and what hangs on it. */
export class ChangeTable {
  readonly changes = new Map<string, Change>();
  /** Blackout schedules, stored times; may be changed at any time. */
  readonly blackouts: { name: string; start: string; end: string }[] = [];
  /** Fields that the account may not write; they are left out without an error, as access lists do. */
  readonly readOnly = new Set<string>();
  /** Looks at a running check until it ends. */
  checkLooks = 2;
  readonly #options: ChangeTableOptions;
  #created = 0;
  #clockMs = Date.UTC(2026, 2, 2, 6);

  constructor(options: ChangeTableOptions) {
    this.#options = options;
  }

  /** The instance's clock: a second later at every reading. */
  now(): string {
    this.#clockMs += 1000;
    return new Date(this.#clockMs).toISOString().slice(0, 19).replace("T", " ");
  }

  byNumber(number: string): Change {
    const found = [...this.changes.values()].find(({ fields }) => fields.get("number") === number);
    if (found === undefined) throw new Error(`no change ${number}`);
    return found;
  }

  get(sysId: string): Change {
    const found = this.changes.get(sysId);
    if (found === undefined) throw new Refusal(404, "No Record found");
    return found;
  }

  create(fields: Readonly<Record<string, string>>, by: User): { change: Change; ignored: string[] } {
    const type = (fields.type ?? "").toLowerCase();
    if (NEXT[type] === undefined) throw new Refusal(400, `Invalid value for type: ${fields.type}`);
    const sysId = createHash("md5")
      .update(`change ${++this.#created}`)
      .digest("hex");
    const change: Change = {
      sysId,
      fields: new Map(),
      workNotes: [],
      approvers: [],
      affected: new Set(),
      check: null,
      earlierCheck: null,
    };
    const ignored = this.#write(change, { ...fields, type });
    for (const [name, value] of [
      ["number", `CHG${String(30_000 + this.#created).padStart(7, "0")}`],
      ["state", "-5"],
      ["approval", type === "standard" ? "approved" : "not requested"],
      ["sys_created_on", this.now()],
      ["sys_created_by", by.account],
      ["opened_by", by.account],
      ["conflict_status", "Not Run"],
    ] as const) {
      change.fields.set(name, value);
    }
    this.changes.set(sysId, change);
    return { change, ignored };
  }

  createStandard(
    template: string,
    fields: Readonly<Record<string, string>>,
    by: User,
  ): ReturnType<ChangeTable["create"]> {
    if (!this.#options.templates.includes(template)) throw new Refusal(404, "Standard Change Template not found");
    const taken = Object.fromEntries(Object.entries(fields).filter(([name]) => !OF_TEMPLATE.includes(name)));
    const made = this.create({ ...taken, type: "standard" }, by);
    made.change.fields.set("description", "as the template says");
    made.change.fields.set("assignment_group", this.#options.groups[0]!);
    return { change: made.change, ignored: [...made.ignored, ...OF_TEMPLATE.filter((name) => name in fields)] };
  }

  update(change: Change, fields: Readonly<Record<string, string>>): string[] {
    const { state, work_notes: note, ...rest } = fields;
    if (["3", "4"].includes(change.fields.get("state")!)) throw new Refusal(400, "The change request is not active");
    const before = new Map(change.fields);
    try {
      const ignored = this.#write(change, rest);
      if (state !== undefined && state !== change.fields.get("state")) this.#move(change, state);
      // A journal field: every call adds an entry, also the same one twice.
      if (note !== undefined && note !== "") change.workNotes.push(note);
      return ignored;
    } catch (thrown) {
      change.fields = before;
      throw thrown;
    }
  }

  nextStates(change: Change): string[] {
    const state = change.fields.get("state")!;
    return [state, ...(NEXT[change.fields.get("type")!]![state] ?? [])];
  }

  /** PATCH …/approvals: for the caller's own pending approval. */
  decide(change: Change, user: User, state: string, comments: string): void {
    if (state !== "approved" && state !== "rejected") throw new Refusal(400, "state must be approved or rejected");
    if (state === "rejected" && comments === "") throw new Refusal(400, "comments are required to reject");
    const own = change.approvers.find((one) => one.user === user && one.state === "requested");
    if (own === undefined) throw new Refusal(400, "You do not have an approval for this change request");
    Object.assign(own, { state, comments, updatedOn: this.now() });
    for (const one of change.approvers) if (one.state === "requested") one.state = "cancelled";
    if (state === "rejected") {
      change.fields.set("approval", "rejected").set("state", "-5");
    } else {
      this.#approved(change);
    }
  }

  startCheck(change: Change): string {
    const { fields } = change;
    const [ci = "", start = "", end = ""] = ["cmdb_ci", "start_date", "end_date"].map((name) => fields.get(name));
    if (ci === "" || !this.#options.cis.includes(ci))
      throw new Refusal(400, "Configuration item is required to check conflicts");
    if (start === "" || end === "")
      throw new Refusal(400, "Planned start and end dates are required to check conflicts");
    const overlaps = (from: string, to: string) => from < end && start < to;
    const cis = new Set([ci, ...change.affected]);
    const conflicts = this.blackouts
      .filter((blackout) => overlaps(blackout.start, blackout.end))
      .map(({ name }) => ({ type: "blackout", label: `Blackout ${name}` }));
    for (const other of this.changes.values()) {
      const state = Number(other.fields.get("state"));
      const shared = cis.has(other.fields.get("cmdb_ci") ?? "") || [...other.affected].some((one) => cis.has(one));
      if (other === change || !shared || state < -2 || state > 0) continue;
      if (!overlaps(other.fields.get("start_date") ?? "", other.fields.get("end_date") ?? "")) continue;
      conflicts.push({ type: "ci_already_scheduled", label: "CI Already Scheduled" });
    }
    change.earlierCheck = change.check;
    change.check = { lastRun: this.now(), looksLeft: this.checkLooks, conflicts };
    return createHash("md5").update(`check ${change.sysId} ${change.check.lastRun}`).digest("hex");
  }

  affect(change: Change, ids: readonly string[]): string[] {
    const unknown = ids.filter((id) => !this.#options.cis.includes(id));
    for (const id of ids) if (!unknown.includes(id)) change.affected.add(id);
    return unknown.map(() => "Invalid CMDB_CI sys_id provided");
  }

  #write(change: Change, fields: Readonly<Record<string, string>>): string[] {
    const ignored: string[] = [];
    for (const [name, value] of Object.entries(fields)) {
      if (!WRITABLE.has(name) || this.readOnly.has(name)) {
        ignored.push(name);
        continue;
      }
      if (DATES.includes(name) && !/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/.test(value)) {
        throw new Refusal(400, `Invalid date in ${name}: ${value}`);
      }
      if (name === "assignment_group" && !this.#options.groups.includes(value)) throw new Refusal(400, "Invalid group");
      if (name === "short_description" && value.length > 160) throw new Refusal(400, "short_description is too long");
      if (value.length > 4000) throw new Refusal(400, `${name} is too long`);
      change.fields.set(name, value);
    }
    const [start, end] = [change.fields.get("start_date") ?? "", change.fields.get("end_date") ?? ""];
    if (start !== "" && end !== "" && end <= start)
      throw new Refusal(400, "Planned end date must be after planned start date");
    return ignored;
  }

  #move(change: Change, state: string): void {
    const from = change.fields.get("state")!;
    if (!this.nextStates(change).includes(state)) {
      throw new Refusal(400, `Invalid state transition from ${LABELS[from]} to ${LABELS[state] ?? state}`);
    }
    const blank = (name: string) => (change.fields.get(name) ?? "").trim() === "";
    if (from === "-5" && state !== "4" && (blank("assignment_group") || blank("short_description"))) {
      throw new Refusal(400, "Assignment group and short description are mandatory");
    }
    if (state === "3" && (!CLOSE_CODES.includes(change.fields.get("close_code") ?? "") || blank("close_notes"))) {
      throw new Refusal(400, "Close code and close notes are mandatory");
    }
    change.fields.set("state", state);
    if (state === "-5" || state === "4")
      for (const one of change.approvers) if (one.state === "requested") one.state = "cancelled";
    if (state === "-4") this.#request(change, this.#options.assessors);
    if (state === "-3") this.#request(change, this.#options.board);
  }

  #request(change: Change, approvers: readonly User[]): void {
    change.fields.set("approval", "requested");
    for (const user of approvers)
      change.approvers.push({ user, state: "requested", comments: "", updatedOn: this.now() });
    if (approvers.length === 0) this.#approved(change);
  }

  /** The workflow goes on by itself: Assess → Authorize → Scheduled. */
  #approved(change: Change): void {
    if (change.fields.get("state") === "-4") {
      change.fields.set("state", "-3");
      this.#request(change, this.#options.board);
    } else {
      change.fields.set("approval", "approved").set("state", "-2");
    }
  }
}
