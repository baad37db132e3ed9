/**
 * One entry of a log as somebody wrote it down elsewhere. A chain proves that nothing in it was changed; only an anchor proves
 * that nothing was cut off at its end, or that the whole was not made anew.
 */
export interface Anchor {
  seq: number;
  hash: string;
}

/** Follows a walk along a log, and says what of it contradicts the anchor. */
export class AnchorWatch {
  readonly #anchor: Anchor | null;

  constructor(anchor: Anchor | null) {
    this.#anchor = anchor;
  }

  /** Called with each sound entry; what is wrong with it, or null. */
  step(seq: number, hash: string): string | null {
    if (this.#anchor?.seq !== seq || this.#anchor.hash === hash) return null;
    return `has the hash ${hash}, the anchor says ${this.#anchor.hash}`;
  }

  /** Called at the end of a sound log; null when it reaches the anchor. */
  end(entries: number): string | null {
    if (this.#anchor === null || entries >= this.#anchor.seq) return null;
    return `the log ends at entry ${entries}, the anchor names ${this.#anchor.seq}: its end is missing`;
  }
}
