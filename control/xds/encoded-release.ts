import type { TableSet } from "../table/table.ts";
import { type Sets, setAt } from "./cohort.ts";
import { type ActivationMode, type EncodedResponse, encodeActivation, encodeStage } from "./resources.ts";

/** A set, or two where a cohort goes ahead, under its epoch. */
export interface Release extends Sets {
  /** A whole number from 1 to 2^53 − 1, reserved in the store. */
  epoch: number;
  /** Fencing token of the server that pushes it. */
  term: number;
}

interface Encoded {
  stage: EncodedResponse;
  activation: EncodedResponse;
  passthrough: EncodedResponse;
}

/** A release with what its nodes are sent, each message encoded once. Throws SET_TOO_LARGE. */
export class EncodedRelease {
  readonly release: Release;
  readonly #own: Encoded;
  readonly #rest: Encoded | null;

  constructor(release: Release, mode: ActivationMode) {
    const { epoch, term, set, cohort } = release;
    const encode = (one: TableSet): Encoded => ({
      stage: encodeStage(epoch, term, one),
      activation: encodeActivation(epoch, term, one.digest, mode),
      passthrough: encodeActivation(epoch, term, one.digest, "passthrough", true),
    });
    this.release = release;
    this.#own = encode(set);
    this.#rest = cohort === undefined ? null : encode(cohort.rest);
  }

  get epoch(): number {
    return this.release.epoch;
  }

  /** The version of the release's own set. */
  get version(): string {
    return this.#own.stage.version;
  }

  get sets(): readonly TableSet[] {
    const { set, cohort } = this.release;
    return cohort === undefined ? [set] : [set, cohort.rest];
  }

  at(position: bigint): Encoded {
    return this.#rest === null || this.isAhead(position) ? this.#own : this.#rest;
  }

  versionAt(position: bigint): string {
    return this.at(position).stage.version;
  }

  /** True for a node that gets the release's own set. */
  isAhead(position: bigint): boolean {
    return setAt(this.release, position) === this.release.set;
  }
}
