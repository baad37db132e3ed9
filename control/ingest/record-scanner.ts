/**
 * Cuts the records of `{"result": [ … ]}` out of a stream of text without holding more than one of them. Only brackets,
 * strings and commas are judged here; what a record holds is for JSON.parse.
 *
 * A bare list and the key `records` (ServiceNow's older JSON processor) are read as well.
 */
export interface RawRecord {
  /** Position in the list, from 0, and line of its first character, from 1. */
  index: number;
  line: number;
  /** "" when `fault` says why the record was not kept. */
  text: string;
  fault: null | "too long" | "too deep";
}

export interface ScanLimits {
  /** Longest record in UTF-16 units. */
  maxRecordLength: number;
  /** Deepest nesting inside a record; a record of the Table API has 2. */
  maxDepth: number;
}

/** The text is no list of records at all, or breaks off: nothing after this place can be trusted. */
export class ScanError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(what: string, line: number, column: number) {
    super(what);
    this.name = "ScanError";
    this.line = line;
    this.column = column;
  }
}

const LIST_KEYS = new Set(["result", "records"]);
/** A hostile file may open brackets for ever; the stack of open ones must not grow with it. */
const HARD_DEPTH = 10_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COMMA = 0x2c;
const COLON = 0x3a;
const NEWLINE = 0x0a;

export class RecordScanner {
  readonly #limits: ScanLimits;
  /** Closing brackets still owed, outermost first. */
  readonly #open: number[] = [];
  /** Depth at which records of the list lie; 0 while the list was not found. */
  #listDepth = 0;
  #listSeen = false;
  #rootClosed = false;

  #inString = false;
  #escaped = false;
  /** Text of the string being read at depth 1 (a key of the root), else null. */
  #key: string | null = null;
  #lastKey = "";
  #afterColon = false;

  #record: { index: number; line: number; parts: string[]; length: number; fault: RawRecord["fault"] } | null = null;
  #index = 0;
  #needComma = false;
  #needRecord = false;

  #line = 1;
  #lineStart = 0;
  #offset = 0;

  constructor(limits: ScanLimits) {
    this.#limits = limits;
  }

  /** Records that ended within `chunk`. Throws ScanError. */
  push(chunk: string): RawRecord[] {
    const done: RawRecord[] = [];
    let recordStart = 0;
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk.charCodeAt(i);
      if (c === NEWLINE) {
        this.#line++;
        this.#lineStart = this.#offset + i + 1;
      }
      if (this.#inString) {
        this.#stringChar(c);
        continue;
      }
      if (c === 0x20 || c === NEWLINE || c === 0x0d || c === 0x09) {
        continue;
      }
      if (this.#record !== null) {
        const ended = this.#recordChar(c, i);
        if (ended !== "no") {
          const end = ended === "with" ? i + 1 : i;
          done.push(this.#endRecord(chunk.slice(recordStart, end)));
          if (ended === "with") continue;
        } else continue;
      }
      if (this.#outerChar(c, i)) recordStart = i;
    }
    if (this.#record !== null) this.#keep(chunk.slice(recordStart));
    this.#offset += chunk.length;
    return done;
  }

  /** To be called once after the last chunk. Throws ScanError when the text broke off or held no list. */
  end(): void {
    if (this.#inString || this.#open.length > 0) this.#fail("the file breaks off in the middle", 0);
    if (!this.#listSeen) this.#fail("no list `result`", 0);
  }

  #stringChar(c: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (c === BACKSLASH) this.#escaped = true;
    else if (c === QUOTE) {
      this.#inString = false;
      if (this.#key !== null) {
        this.#lastKey = this.#key;
        this.#key = null;
      }
      return;
    }
    if (this.#key !== null && this.#key.length < 16) this.#key += String.fromCharCode(c);
  }

  /** A character inside a record: does it end the record, itself included ("with") or not ("before")? */
  #recordChar(c: number, i: number): "no" | "with" | "before" {
    const inside = this.#open.length - this.#listDepth;
    if (c === QUOTE) this.#inString = true;
    else if (c === OPEN_OBJECT || c === OPEN_LIST) {
      if (inside >= this.#limits.maxDepth) this.#record!.fault ??= "too deep";
      this.#push(c, i);
    } else if (c === CLOSE_OBJECT || c === CLOSE_LIST) {
      if (inside === 0) return "before";
      this.#pop(c, i);
      if (inside === 1) return "with";
    } else if (c === COMMA && inside === 0) return "before";
    return "no";
  }

  /** A character outside of records; true when a record starts with it. */
  #outerChar(c: number, i: number): boolean {
    if (this.#rootClosed) this.#fail("text after the end of the document", i);
    const inList = this.#listDepth > 0 && this.#open.length === this.#listDepth;
    if (inList) return this.#listChar(c, i);
    if (this.#open.length === 0 && c !== OPEN_OBJECT && c !== OPEN_LIST) this.#fail("no JSON object", i);
    if (c === QUOTE) {
      this.#inString = true;
      if (this.#open.length === 1 && !this.#afterColon) this.#key = "";
    } else if (c === COLON && this.#open.length === 1) this.#afterColon = true;
    else if (c === COMMA && this.#open.length === 1) this.#afterColon = false;
    else if (c === OPEN_OBJECT || c === OPEN_LIST) {
      const isRootList = this.#open.length === 0 && c === OPEN_LIST;
      const isResult = this.#open.length === 1 && this.#afterColon && LIST_KEYS.has(this.#lastKey);
      this.#push(c, i);
      if (!this.#listSeen && (isRootList || (isResult && c === OPEN_LIST))) {
        this.#listDepth = this.#open.length;
        this.#listSeen = true;
      }
    } else if (c === CLOSE_OBJECT || c === CLOSE_LIST) this.#pop(c, i);
    return false;
  }

  #listChar(c: number, i: number): boolean {
    if (c === COMMA) {
      if (!this.#needComma) this.#fail("a comma without a record before it", i);
      this.#needComma = false;
      this.#needRecord = true;
      return false;
    }
    if (c === CLOSE_LIST) {
      if (this.#needRecord) this.#fail("a comma without a record after it", i);
      this.#pop(c, i);
      this.#listDepth = 0;
      return false;
    }
    if (c === CLOSE_OBJECT || c === COLON) this.#fail(`\`${String.fromCharCode(c)}\` where a record belongs`, i);
    if (this.#needComma) this.#fail("no comma between two records", i);
    this.#needRecord = false;
    this.#record = { index: this.#index++, line: this.#line, parts: [], length: 0, fault: null };
    if (c === QUOTE) this.#inString = true;
    else if (c === OPEN_OBJECT || c === OPEN_LIST) this.#push(c, i);
    return true;
  }

  #keep(text: string): void {
    const record = this.#record!;
    record.length += text.length;
    if (record.length > this.#limits.maxRecordLength) record.fault ??= "too long";
    if (record.fault === null) record.parts.push(text);
    else record.parts.length = 0;
  }

  #endRecord(text: string): RawRecord {
    this.#keep(text);
    const { index, line, parts, fault } = this.#record!;
    this.#record = null;
    this.#needComma = true;
    return { index, line, fault, text: fault === null ? parts.join("") : "" };
  }

  #push(c: number, i: number): void {
    if (this.#open.length >= HARD_DEPTH) this.#fail(`nesting deeper than ${HARD_DEPTH}`, i);
    this.#open.push(c === OPEN_LIST ? CLOSE_LIST : CLOSE_OBJECT);
  }

  #pop(c: number, i: number): void {
    if (this.#open.pop() !== c) this.#fail(`\`${String.fromCharCode(c)}\` that closes nothing`, i);
    if (this.#open.length === 0) this.#rootClosed = true;
  }

  #fail(what: string, i: number): never {
    throw new ScanError(what, this.#line, this.#offset + i - this.#lineStart + 1);
  }
}
