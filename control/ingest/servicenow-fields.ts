import type { Finding, FindingSeverity, Provenance } from "./finding.ts";
import type { Reference } from "./records.ts";

/** ServiceNow's own limit for names is 255; longer text is no name. */
const MAX_TEXT = 1024;

/**
 * The fields of one record of the Table API. A field is a string, or with `sysparm_display_value=all` an object
 * `{display_value, value, link}`; other writings of the same content are accepted. What cannot be read becomes a finding.
 */
export class Fields {
  readonly provenance: Provenance;
  readonly #record: object;
  readonly #report: (finding: Finding) => void;

  constructor(record: object, provenance: Provenance, report: (finding: Finding) => void) {
    this.#record = record;
    this.provenance = provenance;
    this.#report = report;
  }

  find(severity: FindingSeverity, code: string, message: string): void {
    this.#report({ severity, code, message, provenance: this.provenance });
  }

  /** `NUMBER (sys_id)` or the sys_id: how messages name this record. */
  get label(): string {
    const number = this.#pair("number").value;
    return number === "" ? `record ${this.provenance.sysId || `number ${this.provenance.index + 1}`}` : number;
  }

  /** The raw value; "" when the field is absent, blank or null. */
  text(name: string): string {
    return this.#clean(name, this.#pair(name).value);
  }

  reference(name: string): Reference {
    const { value, display, structured } = this.#pair(name);
    // A bare string is a sys_id with `sysparm_exclude_reference_link`, and a name in an export of display values.
    const isSysId = structured || /^[0-9a-f]{32}$/i.test(value);
    return isSysId
      ? { sysId: this.#clean(name, value), display: this.#clean(name, display) }
      : { sysId: this.#clean(name, value), display: this.#clean(name, value) };
  }

  /** UTC, `YYYY-MM-DD HH:MM:SS`; null when blank, or not a time (finding BAD_TIME). */
  time(name: string, severity: FindingSeverity): number | null {
    const text = this.text(name);
    if (text === "") return null;
    const ms = parseTime(text);
    if (ms === null) {
      this.find(severity, "BAD_TIME", `${this.label}: ${name} is ${quote(text)}, not a time YYYY-MM-DD HH:MM:SS (UTC)`);
    }
    return ms;
  }

  /** A number ≥ 0; undefined when blank, or no such number (finding BAD_NUMBER). */
  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === "") return undefined;
    const plain = /^\d{1,3}(,\d{3})+(\.\d+)?$/.test(text) ? text.replaceAll(",", "") : text;
    if (/^\d{1,12}(\.\d{1,6})?$/.test(plain)) return Number(plain);
    this.find("warning", "BAD_NUMBER", `${this.label}: ${name} is ${quote(text)}, not a number of at least 0`);
    return undefined;
  }

  #pair(name: string): { value: string; display: string; structured: boolean } {
    const raw: unknown = Object.hasOwn(this.#record, name)
      ? (this.#record as Record<string, unknown>)[name]
      : undefined;
    if (typeof raw !== "object" || raw === null) return { value: scalar(raw), display: "", structured: false };
    const own = (key: string): string => (Object.hasOwn(raw, key) ? scalar((raw as Record<string, unknown>)[key]) : "");
    const fromLink = /\/([0-9a-f]{32})(?:[/?#]|$)/i.exec(own("link"))?.[1] ?? "";
    const value = own("value") || fromLink;
    const display = own("display_value");
    // An export of display values alone has the label in every field that is no reference.
    return { value: value === "" && !Object.hasOwn(raw, "link") ? display : value, display, structured: value !== "" };
  }

  #clean(name: string, text: string): string {
    if (text.length > MAX_TEXT) {
      this.find(
        "warning",
        "BAD_FIELD",
        `record ${this.provenance.sysId}: ${name} has ${text.length} characters; ${MAX_TEXT} are kept`,
      );
      text = text.slice(0, MAX_TEXT);
    }
    // Names reach terminals and logs, where control characters could hide or forge lines.
    if (!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text)) return text;
    this.find("warning", "BAD_FIELD", `record ${this.provenance.sysId}: control characters in ${name} are replaced`);
    return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "\ufffd");
  }
}

function scalar(value: unknown): string {
  if (typeof value === "string") return value.trim();
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

export function parseTime(text: string): number | null {
  const match = /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})Z?$/.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC carries over: the 30th of February and 24:00:01 must not become other times.
  const same =
    new Date(ms).toISOString().slice(0, 19) ===
    `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}`;
  return same && year >= 1970 ? ms : null;
}

export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}
