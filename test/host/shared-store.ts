import { Status } from "./abi.ts";
import type { Root } from "./vm.ts";

/**
 * Shared data and shared queues of one Envoy process, with the semantics of proxy-wasm-cpp-host (src/shared_data.cc,
 * src/shared_queue.cc): cas numbers are global and never 0; a write with cas 0 overwrites; a write to an absent key
 * creates it whatever the cas; a queue wakes the last registrant of its name only; nothing can be deleted.
 */
export class SharedStore {
  readonly #data = new Map<string, Map<string, { value: Uint8Array; cas: number }>>();
  /** Rises with every successful write. */
  #nextCas = 1;
  readonly #queueTokens = new Map<string, number>();
  readonly #queues = new Map<number, { owner: Root; entries: Uint8Array[] }>();

  get(vmId: string, key: string): { value: Uint8Array; cas: number } | undefined {
    return this.#data.get(vmId)?.get(key);
  }

  set(vmId: string, key: string, value: Uint8Array, cas: number): number {
    let map = this.#data.get(vmId);
    if (map === undefined) {
      map = new Map();
      this.#data.set(vmId, map);
    }
    const there = map.get(key);
    if (there !== undefined && cas !== 0 && cas !== there.cas) return Status.CasMismatch;
    map.set(key, { value: value.slice(), cas: this.#nextCas++ });
    return Status.Ok;
  }

  register(vmId: string, name: string, owner: Root): number {
    const key = `${vmId}\0${name}`;
    let token = this.#queueTokens.get(key);
    if (token === undefined) {
      token = this.#queueTokens.size + 1;
      this.#queueTokens.set(key, token);
    }
    const queue = this.#queues.get(token);
    if (queue === undefined) this.#queues.set(token, { owner, entries: [] });
    else queue.owner = owner;
    return token;
  }

  /** Undefined for an unknown token. */
  queue(token: number): { owner: Root; entries: Uint8Array[] } | undefined {
    return this.#queues.get(token);
  }

  /** Keys of a vm_id that contain `part`, for tests. */
  keys(vmId: string, part = ""): string[] {
    return [...(this.#data.get(vmId)?.keys() ?? [])].filter((key) => key.includes(part));
  }

  /** Bytes of all values: what the process pays. */
  get bytes(): number {
    let sum = 0;
    for (const map of this.#data.values()) for (const { value } of map.values()) sum += value.length;
    return sum;
  }

  get longestQueue(): number {
    return Math.max(0, ...[...this.#queues.values()].map((queue) => queue.entries.length));
  }
}
