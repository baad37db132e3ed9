import { Document, isMap, isScalar, isSeq, type Node } from "yaml";

/**
 * Configurations are plain objects, which Envoy reads as JSON. For people the same objects become YAML with comments: `explain`
 * keeps the comments beside the object, out of the way of everybody who only wants the JSON.
 */
const NOTES = new WeakMap<object, Readonly<Record<string, string>>>();

/** Attaches a comment to some of an object's keys (to some indexes of an array); returns the object itself. */
export function explain<T extends object>(object: T, notes: Readonly<Record<string, string>>): T {
  NOTES.set(object, { ...NOTES.get(object), ...notes });
  return object;
}

/** A leaf this short stands on one line. */
const FLOW_LENGTH = 64;

/** The YAML of a configuration, with its comments. An object used twice becomes an anchor and an alias. */
export function toYaml(value: object, heading?: string): string {
  const document = new Document(value, { anchorPrefix: "route" } as never);
  if (document.contents !== null) {
    annotate(document.contents as Node, value);
    if (isMap(document.contents)) document.contents.flow = false;
  }
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: true, indentSeq: true });
  // The library pads both kinds of brackets, the formatter only braces.
  const formatted = text.replace(/\[ (.*) \]$/gm, "[$1]");
  return heading === undefined ? formatted : `${comment(heading).replace(/^/gm, "#")}\n\n${formatted}`;
}

function annotate(node: unknown, value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const notes = NOTES.get(value) ?? {};
  if (isMap(node)) {
    node.flow = isLeaf(value);
    for (const pair of node.items) {
      const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
      const note = notes[key];
      if (note !== undefined && isScalar(pair.key)) pair.key.commentBefore = comment(note);
      annotate(pair.value, (value as Record<string, unknown>)[key]);
    }
  } else if (isSeq(node)) {
    node.flow = isLeaf(value);
    for (const [i, item] of node.items.entries()) {
      const entry = (value as unknown[])[i];
      annotate(item, entry);
      // A comment on an entry's first key stands above the dash.
      const first = isMap(item) ? item.items[0]?.key : undefined;
      const note = notes[i] ?? (isScalar(first) ? first.commentBefore : undefined);
      if (isScalar(first)) first.commentBefore = null;
      if (typeof note === "string") (item as Node).commentBefore = notes[i] === undefined ? note : comment(note);
    }
  }
}

function comment(text: string): string {
  return text.replace(/^(?=.)/gm, " ");
}

function isLeaf(value: object): boolean {
  if (NOTES.has(value)) return false;
  const items = Object.values(value);
  const isFlat = items.every((item) => typeof item !== "object" || item === null || isLeaf(item));
  return isFlat && JSON.stringify(value).length <= FLOW_LENGTH;
}
