/**
 * A manifest ends with the hash of its own text, so that a figure that was changed afterwards (by a hand, a merge, a disk) is not believed: what
 * a model may do follows from them. Against mistakes, not against somebody who writes the hash anew.
 */
import { hash } from "node:crypto";

const SEAL = /,\s*"seal":\s*"([0-9a-f]{64})"\s*\}\s*$/;

/** The text of a manifest (a JSON object) with its seal in place of one that it may have. */
export function sealed(text: string): string {
  const bare = unsealed(text)
    .trimEnd()
    .replace(/\s*\}$/, "");
  return `${bare},\n "seal": "${hash("sha256", bare)}"\n}\n`;
}

/** Whether the text is the one that was sealed; null where it has no seal, as those of before there were seals. */
export function isAsSealed(text: string): boolean | null {
  const seal = SEAL.exec(text)?.[1];
  if (seal === undefined) return null;
  return hash("sha256", unsealed(text).replace(/\}$/, "")) === seal;
}

function unsealed(text: string): string {
  return text.replace(SEAL, "}");
}
