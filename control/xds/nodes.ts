import { positionOf } from "./cohort.ts";

/** Who is in the fleet: one entry per (node id, instance id), kept a while after its stream is gone. */
export interface NodeIdentity {
  /** `node.id` of xDS. */
  id: string;
  /** Third part of `user_agent_version`: a hot restart runs two instances under one id. "" when the client gave none. */
  instance: string;
}

/** One member of the fleet as `nodes()` shows it. */
export interface NodeStatus extends NodeIdentity {
  /** First part of user_agent_version. */
  moduleVersion: string;
  connected: boolean;
  /** Clock.nowMs() when the present (or last) stream said who it is. */
  connectedAtMs: number;
  /** Versions that the node has acknowledged or reported; "" for none. */
  stagedVersion: string;
  activeVersion: string;
  /** Consecutive rounds that it failed; two take its vote until it acknowledges again. */
  failures: number;
  lastNack: { type: "stage" | "table" | "activation"; version: string; reason: string; atMs: number } | null;
  /** It failed to activate this epoch and was told to pass requests through; over with a later epoch that it activates. */
  quarantine: Quarantine | null;
}

export interface Quarantine {
  epoch: number;
  reason: string;
}

export interface NodeEntry<Stream> extends NodeStatus {
  key: string;
  /** See cohort.ts. */
  position: bigint;
  stream: Stream | null;
}

export function nodeKey(node: NodeIdentity): string {
  return `${node.id}\n${node.instance}`;
}

/** `"<module version>/<layout>/<incarnation>"` → its parts; missing parts are "". */
export function parseUserAgentVersion(text: string): { moduleVersion: string; instance: string } {
  const [moduleVersion = "", , instance = ""] = text.split("/");
  return { moduleVersion, instance };
}

export class NodeTable<Stream> {
  readonly #entries = new Map<string, NodeEntry<Stream>>();
  readonly #maxEntries: number;

  /** At most `maxEntries` nodes are remembered; of those without a stream, the one that left first is forgotten first. */
  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  values(): IterableIterator<NodeEntry<Stream>> {
    return this.#entries.values();
  }

  get(key: string): NodeEntry<Stream> | undefined {
    return this.#entries.get(key);
  }

  /** Binds a stream to its node; `replaced` is an older stream of the same node, which the caller closes. */
  attach(
    node: NodeIdentity & { moduleVersion: string },
    stream: Stream,
    atMs: number,
  ): { entry: NodeEntry<Stream>; replaced: Stream | null } {
    const key = nodeKey(node);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      const replaced = known.stream;
      Object.assign(known, { stream, connected: true, connectedAtMs: atMs, moduleVersion: node.moduleVersion });
      return { entry: known, replaced };
    }
    const entry: NodeEntry<Stream> = {
      ...node,
      key,
      position: positionOf(node.id),
      stream,
      connected: true,
      connectedAtMs: atMs,
      stagedVersion: "",
      activeVersion: "",
      failures: 0,
      lastNack: null,
      quarantine: null,
    };
    this.#entries.set(key, entry);
    this.#forgetSurplus();
    return { entry, replaced: null };
  }

  detach(entry: NodeEntry<Stream>): void {
    entry.stream = null;
    entry.connected = false;
    // To the end of the map: the order of entries without a stream is the order in which they left.
    this.#entries.delete(entry.key);
    this.#entries.set(entry.key, entry);
  }

  #forgetSurplus(): void {
    if (this.#entries.size <= this.#maxEntries) return;
    for (const entry of this.#entries.values()) {
      if (entry.stream !== null) continue;
      this.#entries.delete(entry.key);
      return;
    }
  }
}
