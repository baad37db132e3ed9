import { sha256Hex } from "./record.ts";

/** "BLST": a file of another program is never taken for ours. */
export const APPLICATION_ID = 0x424c5354;
export const LAYOUT = 3;

const LEASE = `
CREATE TABLE lease (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  token INTEGER NOT NULL,
  expires_ms REAL NOT NULL,
  sum TEXT NOT NULL
) STRICT;
CREATE TRIGGER lease_only_rises BEFORE UPDATE ON lease WHEN NEW.token < OLD.token
  BEGIN SELECT raise(ABORT, 'fencing tokens only rise'); END;
CREATE TRIGGER lease_no_delete BEFORE DELETE ON lease BEGIN SELECT raise(ABORT, 'fencing tokens are never forgotten'); END;
`;

const KEEPSAKE = `
CREATE TABLE keepsake (
  name TEXT PRIMARY KEY,
  term INTEGER NOT NULL,
  text TEXT NOT NULL,
  sum TEXT NOT NULL
) STRICT;
`;

/**
 * The log and the tables can only be added to, the head and the fencing tokens only rise: triggers refuse everything else,
 * also from other programs that open the file. `line` is the truth; the other columns of `log` are for look-ups and are
 * held against it by the audit.
 */
export const SCHEMA = `
CREATE TABLE log (
  seq INTEGER PRIMARY KEY,
  epoch INTEGER,
  kind TEXT NOT NULL,
  state TEXT,
  line TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX log_by_epoch ON log (epoch, seq);
CREATE TABLE weight_table (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  reserved INTEGER NOT NULL CHECK (reserved >= epoch)
) STRICT;
INSERT INTO head VALUES (1, 0, 0, 0);

CREATE TRIGGER log_in_order BEFORE INSERT ON log WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM log)
  BEGIN SELECT raise(ABORT, 'the log has no gaps'); END;
CREATE TRIGGER log_no_update BEFORE UPDATE ON log BEGIN SELECT raise(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_no_delete BEFORE DELETE ON log BEGIN SELECT raise(ABORT, 'the log is append-only'); END;
CREATE TRIGGER table_no_update BEFORE UPDATE ON weight_table BEGIN SELECT raise(ABORT, 'tables are immutable'); END;
CREATE TRIGGER table_no_delete BEFORE DELETE ON weight_table BEGIN SELECT raise(ABORT, 'tables are immutable'); END;
CREATE TRIGGER head_only_rises BEFORE UPDATE ON head
  WHEN NEW.epoch < OLD.epoch OR NEW.seq < OLD.seq OR NEW.reserved < OLD.reserved
  BEGIN SELECT raise(ABORT, 'the head only rises'); END;
CREATE TRIGGER head_no_delete BEFORE DELETE ON head BEGIN SELECT raise(ABORT, 'the head stays'); END;
${LEASE}${KEEPSAKE}`;

/** What layout 2 lacked. */
export const FROM_LAYOUT_2 = KEEPSAKE;

/** What layout 1 lacked: the sums of leases. Run in the transaction that opens the store, which then writes the sums. */
export const FROM_LAYOUT_1 = `
DROP TRIGGER lease_only_rises;
DROP TRIGGER lease_no_delete;
ALTER TABLE lease RENAME TO lease_before;
${LEASE}
INSERT INTO lease SELECT name, holder, token, expires_ms, '' FROM lease_before;
DROP TABLE lease_before;
`;

export interface LeaseRow {
  name: string;
  holder: string;
  token: number;
  expires_ms: number;
  sum: string;
}

export interface KeepsakeRow {
  name: string;
  term: number;
  text: string;
  sum: string;
}

/** As with leases: it changes in place, and the sum is what finds a damaged one. */
export function keepsakeSum({ name, term, text }: Omit<KeepsakeRow, "sum">): string {
  return sha256Hex(JSON.stringify([name, term, text]));
}

/** Leases are no part of the chain, since they change in place; the sum is what finds a damaged one. */
export function leaseSum({ name, holder, token, expires_ms: expiresMs }: Omit<LeaseRow, "sum">): string {
  return sha256Hex(JSON.stringify([name, holder, token, expiresMs]));
}
