import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { BallastError } from "../../common/errors.ts";
import {
  APPLICATION_ID,
  FROM_LAYOUT_1,
  FROM_LAYOUT_2,
  LAYOUT,
  type LeaseRow,
  leaseSum,
  SCHEMA,
} from "./sqlite-schema.ts";

/**
 * The file of the SQLite store: opened in our layout or brought to it, WAL, synchronous=FULL (every acknowledged write survives a power
 * cut), prepared statements, and errors as ours: STORE_UNREADABLE, STORE_CORRUPT. Of what is in it, it knows nothing more.
 */
export class SqliteFile {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Opens or creates. STORE_UNREADABLE for a file that is not ours, cannot be written or has another layout.
   * @param busyMs how long a write waits for another process's write
   */
  static open(path: string, busyMs: number): SqliteFile {
    let db: DatabaseSync | null = null;
    try {
      mkdirSync(dirname(path), { recursive: true });
      db = new DatabaseSync(path);
      db.exec(`PRAGMA busy_timeout = ${busyMs}`);
      db.exec("PRAGMA journal_mode = WAL");
      db.exec("PRAGMA synchronous = FULL");
      db.exec("BEGIN IMMEDIATE");
      bringToLayout(db, path);
      db.exec("COMMIT");
      return new SqliteFile(db);
    } catch (error) {
      if (db?.isOpen === true) db.close();
      throw storeError(error, path);
    }
  }

  /** The first row; undefined where there is none. Inside of `read` or `write`, as `all` and `run`. */
  get(sql: string, ...values: SQLInputValue[]): unknown {
    return this.#statement(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): unknown[] {
    return this.#statement(sql).all(...values);
  }

  run(sql: string, ...values: SQLInputValue[]): void {
    this.#statement(sql).run(...values);
  }

  read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw storeError(error, "read");
    }
  }

  /** One transaction that holds the write lock from its first read on, so that what was checked is what is changed. */
  write<T>(work: () => T): T {
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        this.#db.exec("COMMIT");
        return result;
      } catch (error) {
        // A full disk or a damaged file may have ended the transaction already.
        if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
        throw error;
      }
    } catch (error) {
      throw storeError(error, "write");
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      // The texts come from the store, with a few shapes of history's WHERE: a small, fixed number.
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** In the transaction that opens the file: an empty one gets the schema, one of an earlier layout what that lacked. */
function bringToLayout(db: DatabaseSync, path: string): void {
  const { application_id: id } = db.prepare("PRAGMA application_id").get() as { application_id: number };
  const { user_version: layout } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  const { n } = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
  if (n === 0) {
    db.exec(SCHEMA);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  } else if (id !== APPLICATION_ID || layout < 1 || layout > LAYOUT) {
    throw new BallastError(
      "STORE_UNREADABLE",
      `${path} is not a Ballast store of layout ${LAYOUT} (application ${id}, layout ${layout})`,
    );
  } else {
    if (layout < 2) {
      db.exec(FROM_LAYOUT_1);
      const rows = db.prepare("SELECT name, holder, token, expires_ms, sum FROM lease").all() as unknown as LeaseRow[];
      const seal = db.prepare("UPDATE lease SET sum = ? WHERE name = ?");
      for (const row of rows) seal.run(leaseSum(row), row.name);
    }
    if (layout < 3) db.exec(FROM_LAYOUT_2);
  }
  if (layout !== LAYOUT) db.exec(`PRAGMA user_version = ${LAYOUT}`);
}

/** SQLite's result codes that mean damage: SQLITE_CORRUPT. https://sqlite.org/rescode.html */
const SQLITE_CORRUPT = 11;

/** SQLite's errors as ours; what is ours already, and broken invariants, pass through. */
function storeError(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || (error as { code?: string }).code === undefined || error instanceof BallastError)
    return error;
  const { errcode } = error as { errcode?: number };
  // Extended codes carry the primary one in the low byte.
  const code = errcode !== undefined && (errcode & 0xff) === SQLITE_CORRUPT ? "STORE_CORRUPT" : "STORE_UNREADABLE";
  return new BallastError(code, `${where}: ${error.message}`, { cause: error });
}
