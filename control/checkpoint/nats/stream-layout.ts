import type { StreamConfig } from "@nats-io/jetstream";
import { BallastError } from "../../../common/errors.ts";
import { digestHex } from "../../../common/xxh64.ts";
import { type EntryBody, stateOf } from "../chain.ts";
import type { NatsSettings } from "./nats-options.ts";

/**
 * One stream holds it all; NAME is the store's name.
 *
 *     NAME.head                                   what is in force; the newest message counts, every write replaces it
 *     NAME.log.SEQ.EPOCH.KIND.STATE.CHUNK         entries; EPOCH and STATE are `-` for none
 *     NAME.table.DIGEST.CHUNK                     weight tables by their digest, 16 hex digits
 *
 * What a look-up needs stands in the subject, so that the server's index answers it without reading the entries.
 */
export class StreamLayout {
  readonly stream: string;
  readonly headSubject: string;
  readonly leaseBucket: string;

  constructor(name: string) {
    this.stream = name;
    this.headSubject = `${name}.head`;
    this.leaseBucket = `${name}_lease`;
  }

  entrySubject(seq: number, body: EntryBody, chunk: number): string {
    return `${this.stream}.log.${seq}.${body.epoch ?? "-"}.${body.kind}.${stateOf(body) ?? "-"}.${chunk}`;
  }

  /** Matches the first chunk of entries. */
  entryFilter(by: { seq?: number; epoch?: number; kind?: EntryBody["kind"] }): string {
    return `${this.stream}.log.${by.seq ?? "*"}.${by.epoch ?? "*"}.${by.kind ?? "*"}.*.0`;
  }

  parseEntrySubject(subject: string): { seq: number; kind: string; state: string | null; chunk: number } {
    const [seq, , kind, state, chunk] = subject.slice(`${this.stream}.log.`.length).split(".");
    if (seq === undefined || kind === undefined || state === undefined || chunk === undefined) {
      throw new BallastError("STORE_CORRUPT", `the subject ${subject} is not that of an entry`);
    }
    return { seq: Number(seq), kind, state: state === "-" ? null : state, chunk: Number(chunk) };
  }

  tableSubject(digest: bigint, chunk: number): string {
    return `${this.stream}.table.${digestHex(digest)}.${chunk}`;
  }

  config({
    replicas,
    maxBytes,
  }: Pick<NatsSettings, "replicas" | "maxBytes">): Partial<StreamConfig> & { name: string } {
    return {
      name: this.stream,
      subjects: [`${this.stream}.>`],
      description: "Ballast checkpoints: append-only, do not edit",
      num_replicas: replicas,
      max_bytes: maxBytes === 0 ? -1 : maxBytes,
      allow_atomic: true,
      // Reads of one message go to the leader alone: a direct read may be answered by a replica that lags.
      allow_direct: false,
      ...FIXED,
    } as Partial<StreamConfig> & { name: string };
  }
}

/** What keeps the stream append-only, and a full one from dropping its oldest messages. */
const FIXED = {
  storage: "file",
  retention: "limits",
  discard: "new",
  max_age: 0,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  deny_delete: true,
  deny_purge: true,
  allow_rollup_hdrs: false,
} as const;

/** Holds a stream that exists against what the store relies on. STORE_UNSAFE. An upper limit of its bytes is the operator's choice. */
export function checkStream(config: StreamConfig, settings: NatsSettings): void {
  const refuse = (what: string) => {
    throw new BallastError("STORE_UNSAFE", `the stream ${config.name} ${what}`, {
      hint: "Let Ballast create the stream, or edit it: docs/decisions/0002-checkpoint-store.md has its settings.",
    });
  };
  for (const [key, wanted] of Object.entries(FIXED)) {
    const found: unknown = config[key as keyof StreamConfig];
    if (found !== wanted) refuse(`has ${key} ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  }
  if (config.allow_atomic !== true) refuse("does not allow atomic batches");
  const { persist_mode: mode } = config as { persist_mode?: string };
  if (mode !== undefined && mode !== "default") refuse(`is persisted ${mode}, after the acknowledgement`);
  if (config.num_replicas < settings.replicas) refuse(`has ${config.num_replicas} of ${settings.replicas} replicas`);
}
