import { epochOf } from "./resources.ts";

/**
 * One resource type on one stream: which names the client wants, what was sent last, and what its requests mean.
 * State of the world: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#ack-nack-and-resource-type-instance-version
 */
export interface SubscriptionRequest {
  versionInfo: string;
  responseNonce: string;
  resourceNames: readonly string[];
  /** The message of error_detail; undefined when the field is absent. Its presence, and nothing else, makes a NACK. */
  error: string | undefined;
}

/**
 * - first: the first request of the type on the stream; `held` is the version that the client says it holds already.
 * - ack, nack: the first answer to the newest response. `asked` are names that were not in the request before.
 * - ask: a request after that answer (or before any response): all its names are asked for, whether sent earlier or not.
 * - stale: answers an older response; to be ignored, the answer to the newest one is on its way.
 */
export type SubscriptionEvent =
  | { kind: "first"; held: string; asked: readonly string[] }
  | { kind: "ack"; version: string; asked: readonly string[] }
  | { kind: "nack"; version: string; reason: string; asked: readonly string[] }
  | { kind: "ask"; asked: readonly string[] }
  | { kind: "stale" };

const NO_NAMES: readonly string[] = [];

export class Subscription {
  #started = false;
  #names: ReadonlySet<string> = new Set();
  #held = "";
  #sent = "";
  #newestEpoch = 0;
  #nonce = "";
  /** Invariant: true while the newest response has no answer yet. */
  #awaiting = false;

  /** Names of the newest request that was not stale. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** Version that the client last acknowledged, or said it holds in its first request; "" for none. */
  get held(): string {
    return this.#held;
  }

  /** Version of the newest response on this stream; "" for none. */
  get sent(): string {
    return this.#sent;
  }

  /** The higher epoch of `held` and `sent`, read once: the fleet compares it at every request of every stream. */
  get newestEpoch(): number {
    return this.#newestEpoch;
  }

  /** True from the first request on: nothing may be sent for a type that the stream never asked for. */
  get started(): boolean {
    return this.#started;
  }

  get nonce(): string {
    return this.#nonce;
  }

  get awaiting(): boolean {
    return this.#awaiting;
  }

  receive(request: SubscriptionRequest): SubscriptionEvent {
    const [name] = request.resourceNames;
    const unchanged =
      request.resourceNames.length === 1 && this.#names.size === 1 && name !== undefined && this.#names.has(name);
    // Stage and Activation are asked for under one name by every request of a stream: no new set for each.
    const names = unchanged ? this.#names : new Set(request.resourceNames);
    if (!this.#started) {
      // Nonces do not survive streams, so whatever nonce a first request carries means nothing.
      this.#started = true;
      this.#names = names;
      this.#held = request.versionInfo;
      this.#newestEpoch = epochOf(request.versionInfo);
      return { kind: "first", held: request.versionInfo, asked: [...names] };
    }
    if (request.responseNonce !== this.#nonce) return { kind: "stale" };
    const before = this.#names;
    this.#names = names;
    if (!this.#awaiting) return { kind: "ask", asked: [...names] };
    this.#awaiting = false;
    const asked = unchanged ? NO_NAMES : [...names].filter((name) => !before.has(name));
    if (request.error !== undefined) return { kind: "nack", version: this.#sent, reason: request.error, asked };
    this.#held = this.#sent;
    return { kind: "ack", version: this.#sent, asked };
  }

  wrote(version: string, nonce: string): void {
    if (!this.#started) throw new Error("a response was sent for a type that the stream never asked for");
    this.#sent = version;
    this.#newestEpoch = Math.max(this.#newestEpoch, epochOf(version));
    this.#nonce = nonce;
    this.#awaiting = true;
  }
}
