/** Why a link of the chain did not answer. Stable; shown in status and in every explanation. */
export type FallbackCode =
  /** No manifest or no model file in the model's folder. */
  | "MODEL_MISSING"
  /** The manifest cannot be read or lacks a field. */
  | "MANIFEST_INVALID"
  /** The model file is not the one its manifest describes. */
  | "MODEL_HASH_MISMATCH"
  /** The model was trained with other features than this build computes. */
  | "SCHEMA_MISMATCH"
  /** By its own manifest the model does not beat the seasonal-naive forecast. */
  | "MODEL_NOT_BETTER"
  /** onnxruntime-node cannot be loaded on this machine. */
  | "RUNTIME_UNAVAILABLE"
  /** onnxruntime refuses the file or computes something of another shape. */
  | "MODEL_LOAD_FAILED"
  /** The model's first answer is on its way, and takes long: for thousands of services their pasts have to be told and worked through. */
  | "MODEL_WARMING"
  /** No answer within the time limit. */
  | "INFERENCE_TIMEOUT"
  | "INFERENCE_FAILED"
  /** Too many failures in a row; tried again after a pause. */
  | "MODEL_PAUSED"
  /** An output was not finite, not ordered or far outside the range ever seen. */
  | "OUTPUT_GUARD"
  /** The history has another step than the model. */
  | "STEP_MISMATCH"
  | "HISTORY_TOO_SHORT"
  | "HISTORY_STALE"
  /** What the model is asked, or how it errs, is not what its training knew; the policy says to fall back then. */
  | "MODEL_DRIFTED"
  /** The model has feature groups, and what they are made of is not there: not configured, or not read yet. */
  | "COVARIATES_MISSING"
  /** It was there, and is too old to say what holds at this time. */
  | "COVARIATES_STALE"
  /** The caller asked for the chain without the model. */
  | "MODEL_NOT_ASKED";

export interface FallbackReason {
  code: FallbackCode;
  /** One sentence for people, without the code. */
  text: string;
}

export function reasonText(reason: FallbackReason): string {
  return `${reason.code}: ${reason.text}`;
}

/** Thrown inside the room when the model cannot answer; never leaves it. */
export class FallbackError extends Error {
  readonly reason: FallbackReason;

  constructor(code: FallbackCode, text: string, cause?: unknown) {
    super(`${code}: ${text}`, cause === undefined ? undefined : { cause });
    this.reason = { code, text };
  }
}

/** Faults of the model itself; what a service lacks (a history, a covariate) is none. */
const FAULTS: ReadonlySet<string> = new Set(["OUTPUT_GUARD", "INFERENCE_TIMEOUT", "INFERENCE_FAILED", "MODEL_PAUSED"]);

export function isFault({ code }: FallbackReason): boolean {
  return FAULTS.has(code);
}
