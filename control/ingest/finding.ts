/** Where a fact came from, so that every weight can be traced to a record. */
export interface Provenance {
  /** Path as the user gave it. */
  file: string;
  /** Table of the export, for example `change_request`. */
  table: string;
  /** Index of the record in the file's `result` array, from 0, and its line from 1. */
  index: number;
  line: number;
  sysId: string;
}

/**
 * - error: a record that could make a weight wrong if nobody mends it
 * - warning: a record that was refused, merged or repaired without harm to any target
 * - note: something a person may want to know
 */
export type FindingSeverity = "error" | "warning" | "note";

/** What `ballast estate check` reports: a record that was refused, repaired or looks wrong. Nothing is dropped silently. */
export interface Finding {
  severity: FindingSeverity;
  /** Stable code, for example `RELATION_REVERSED`; listed in docs/reference/estate.md. */
  code: string;
  message: string;
  provenance?: Provenance;
}

/** Errors first, then by code, record and text: the order of the files changes nothing. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  const rank: Record<FindingSeverity, number> = { error: 0, warning: 1, note: 2 };
  const key = (f: Finding): string => `${rank[f.severity]} ${f.code} ${f.provenance?.sysId ?? ""} ${f.message}`;
  return findings
    .map((finding) => ({ finding, key: key(finding) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ finding }) => finding);
}
