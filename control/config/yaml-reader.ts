import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  type YAMLMap,
} from "yaml";
import type { Position } from "../../common/errors.ts";
import type { ConfigProblem } from "./config-error.ts";
import { nearestNames } from "./nearest-name.ts";
import type { ValueKind } from "./values.ts";

/** Marks a field as required where a default could stand. */
export const REQUIRED: unique symbol = Symbol("required");

/**
 * Reads a YAML document as sections of fields and collects every mistake with its place. A value that is wrong comes back
 * as undefined, so that the caller can go on and report the rest.
 *
 * Scalars are read as the text that stands in the file (YAML's failsafe schema): a sys_id of digits stays a sys_id, and
 * what a value means is decided by its field alone.
 */
export class YamlReader {
  readonly file: string;
  readonly problems: ConfigProblem[] = [];
  readonly #lines = new LineCounter();
  readonly #root: Node | null;

  constructor(file: string, text: string) {
    this.file = file;
    const document = parseDocument(text, {
      schema: "failsafe",
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: false, // duplicates are found below, with the path
    });
    for (const error of [...document.errors, ...document.warnings]) {
      this.report(this.#at(error.pos[0]), error.message.replace(/\s+/g, " "), "YAML", "");
    }
    // After a syntax error the tree is a guess; reporting its contents would bury the one real mistake.
    this.#root = this.problems.length > 0 ? null : (document.contents as ParsedNode | null);
    if (this.problems.length === 0 && this.#root === null) {
      this.report({ line: 1, column: 1 }, "an empty file", "a mapping that starts with `version: 1`", "");
    }
  }

  /** The whole document, or undefined when it could not be parsed or is no mapping. */
  root(known: readonly string[]): Section | undefined {
    return this.#root === null ? undefined : this.openSection(this.#root, undefined, "", known);
  }

  report(at: { line?: number; column?: number }, found: string, expected: string, path: string): void {
    const position: Position = { file: this.file };
    if (at.line !== undefined) position.line = at.line;
    if (at.column !== undefined) position.column = at.column;
    if (path !== "") position.path = path;
    this.problems.push({ position, found, expected });
  }

  positionOf(node: Node | null | undefined, path: string): Position {
    const at = this.#at(node?.range?.[0] ?? 0);
    return path === "" ? { file: this.file, ...at } : { file: this.file, ...at, path };
  }

  /** @internal Opens `node` as a mapping; `known` null admits any name (services, targets). */
  openSection(
    node: Node | null,
    keyNode: Node | undefined,
    path: string,
    known: readonly string[] | null,
  ): Section | undefined {
    if (isAlias(node) || !isMap(node)) {
      const where = node === null || isEmpty(node) ? (keyNode ?? node) : node;
      this.report(this.positionOf(where, path), describe(node), "a mapping", path);
      return undefined;
    }
    return new Section(this, node, path, known);
  }

  #at(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

/** One mapping of the document. */
export class Section {
  readonly path: string;
  readonly #reader: YamlReader;
  readonly #node: YAMLMap;
  readonly #fields = new Map<string, { key: Node; value: Node | null }>();
  readonly #opened = new Map<string, Section>();

  constructor(reader: YamlReader, node: YAMLMap, path: string, known: readonly string[] | null) {
    this.#reader = reader;
    this.#node = node;
    this.path = path;
    for (const pair of node.items) {
      const key = pair.key as Node;
      if (!isScalar(key) || typeof key.value !== "string" || key.value === "") {
        reader.report(reader.positionOf(key, path), describe(key), "a plain field name", path);
        continue;
      }
      const name = key.value;
      const at = reader.positionOf(key, this.pathOf(name));
      if (this.#fields.has(name)) {
        reader.report(at, `${JSON.stringify(name)} a second time`, "each name once", this.pathOf(name));
      } else if (known !== null && !known.includes(name)) {
        const near = nearestNames(name, known);
        const expected = near.length > 0 ? `\`${near[0]}\`?` : `one of ${known.join(", ")}`;
        reader.report(at, `unknown field ${JSON.stringify(clip(name))}`, expected, this.pathOf(name));
      } else {
        this.#fields.set(name, { key, value: pair.value as Node | null });
      }
    }
  }

  /** Names in the order of the file, duplicates and unknown ones left out. */
  names(): string[] {
    return [...this.#fields.keys()];
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  /** Place of a field's value, else of the section: where a mistake that involves it is reported. */
  positionOf(name?: string): Position {
    const field = name === undefined ? undefined : this.#fields.get(name);
    if (field === undefined) return this.#reader.positionOf(this.#node, this.path);
    const node = field.value === null || isEmpty(field.value) ? field.key : field.value;
    return this.#reader.positionOf(node, this.pathOf(name!));
  }

  /** Place of a field's name. */
  keyPositionOf(name: string): Position {
    return this.#reader.positionOf(this.#fields.get(name)?.key, this.pathOf(name));
  }

  /** Reports a rule that the field `name` (or the section as a whole) breaks. */
  reject(name: string | undefined, found: string, expected: string): void {
    const at = this.positionOf(name);
    this.#reader.report(at, found, expected, at.path ?? "");
  }

  /** Reports a rule that a field's own name breaks. */
  rejectKey(name: string, found: string, expected: string): void {
    this.#reader.report(this.keyPositionOf(name), found, expected, this.pathOf(name));
  }

  section(name: string, known: readonly string[] | null, need?: typeof REQUIRED): Section | undefined {
    const field = this.#fields.get(name);
    if (field !== undefined) {
      const opened = this.#reader.openSection(field.value, field.key, this.pathOf(name), known);
      if (opened !== undefined) this.#opened.set(name, opened);
      return opened;
    }
    if (need === REQUIRED) this.#missing(name, "a mapping");
    return undefined;
  }

  /** A section that `section()` has read, for a second look without reporting its mistakes again. */
  openedSection(name: string): Section | undefined {
    return this.#opened.get(name);
  }

  value<T>(name: string, kind: ValueKind<T>, absent: T | typeof REQUIRED): T | undefined {
    const field = this.#fields.get(name);
    if (field === undefined) {
      if (absent !== REQUIRED) return absent as T;
      this.#missing(name, kind.expected);
      return undefined;
    }
    return this.#scalar(field.value, kind, this.positionOf(name));
  }

  list<T>(name: string, kind: ValueKind<T>, maxItems: number): T[] | undefined {
    const field = this.#fields.get(name);
    if (field === undefined) return [];
    if (!isSeq(field.value) || field.value.items.length > maxItems) {
      const found = isSeq(field.value) ? `${field.value.items.length} items` : describe(field.value);
      this.reject(name, found, `a list of at most ${maxItems} items, each ${kind.expected}`);
      return undefined;
    }
    const values = field.value.items.map((item, i) =>
      this.#scalar(item as Node, kind, this.#reader.positionOf(item as Node, `${this.pathOf(name)}[${i}]`)),
    );
    return values.includes(undefined) ? undefined : (values as T[]);
  }

  #scalar<T>(node: Node | null, kind: ValueKind<T>, at: Position): T | undefined {
    if (isScalar(node) && typeof node.value === "string" && !isEmpty(node)) {
      const value = kind.parse(node.value);
      if (value !== undefined) return value;
    }
    this.#reader.report(at, describe(node), kind.expected, at.path ?? "");
    return undefined;
  }

  #missing(name: string, expected: string): void {
    const at = this.positionOf();
    this.#reader.report(at, `no field \`${name}\``, expected, this.pathOf(name));
  }
}

/** `key:` with nothing behind it; `key: ""` is a text. */
function isEmpty(node: Node | null): boolean {
  return node === null || (isScalar(node) && (node.value === null || (node.value === "" && node.type === "PLAIN")));
}

function describe(node: unknown): string {
  if (isEmpty(node as Node | null)) return "nothing";
  if (isMap(node)) return "a mapping";
  if (isSeq(node)) return "a list";
  if (isAlias(node)) return `the alias *${clip(node.source)}`;
  return isScalar(node) ? JSON.stringify(clip(String(node.value))) : "something else";
}

function clip(value: string): string {
  return value.length > 60 ? `${value.slice(0, 57)}…` : value;
}
