import { Status } from "./abi.ts";
import type { Envoy } from "./envoy.ts";
import type { Root } from "./vm.ts";

/** A stream as the peer sees it. */
export interface PeerStream {
  readonly token: number;
  readonly root: Root;
  readonly cluster: string;
  readonly path: string;
  /** Messages of the filter, oldest first; the peer's test code takes them. */
  readonly received: Uint8Array[];
  /** How the filter's side ended, if it did: half-closed, cancelled, or gone with its root. */
  ended: "closed" | "cancelled" | "gone" | undefined;
  /** The peer closed. */
  peerClosed: boolean;
}

/**
 * gRPC streams of one Envoy. A stream belongs to the root that opened it: calls from another root do not find its token,
 * and it vanishes without a callback when that root does.
 */
export class Grpc {
  readonly #envoy: Envoy;
  readonly streams: PeerStream[] = [];
  /** False: no healthy host. The call fails and a close comes, inside the call, for a token the guest was never given. */
  reachable = true;
  /** Told of every new stream and message; set by the fake control server. */
  onOpen: ((stream: PeerStream) => void) | undefined;
  onMessage: ((stream: PeerStream, message: Uint8Array) => void) | undefined;

  constructor(envoy: Envoy) {
    this.#envoy = envoy;
  }

  get live(): PeerStream[] {
    return this.streams.filter((stream) => stream.ended === undefined && !stream.peerClosed);
  }

  open(root: Root, cluster: string, path: string): number | undefined {
    const token = this.streams.length * 2 + 2;
    if (!this.reachable) {
      // Envoy delivers this close inside the host call. One VM runs one callback at a time here, so it follows at once.
      this.#envoy.post(root, () => root.vm.call("proxy_on_grpc_close", { root }, root.id, token, 14));
      return undefined;
    }
    const stream: PeerStream = { token, root, cluster, path, received: [], ended: undefined, peerClosed: false };
    this.streams.push(stream);
    root.streams.add(token);
    this.onOpen?.(stream);
    return token;
  }

  send(root: Root, token: number, message: Uint8Array, end: boolean): number {
    const stream = this.#find(root, token);
    if (stream === undefined) return Status.NotFound;
    if (end) throw new Error("the host does not model an end of stream with a message");
    if (stream.peerClosed) return Status.Ok;
    stream.received.push(message);
    this.onMessage?.(stream, message);
    return Status.Ok;
  }

  close(root: Root, token: number): number {
    const stream = this.#find(root, token);
    if (stream === undefined) return Status.NotFound;
    stream.ended = "closed";
    if (stream.peerClosed) root.streams.delete(token);
    return Status.Ok;
  }

  cancel(root: Root, token: number): number {
    const stream = this.#find(root, token);
    if (stream === undefined) return Status.NotFound;
    stream.ended = "cancelled";
    root.streams.delete(token);
    return Status.Ok;
  }

  /** The peer sends a message; it arrives as a callback of the stream's root when the Envoy runs next. */
  deliver(stream: PeerStream, message: Uint8Array): void {
    this.#envoy.post(stream.root, () => {
      if (stream.ended !== undefined) return;
      const { root, token } = stream;
      root.vm.call("proxy_on_grpc_receive", { root, grpcMessage: message }, root.id, token, message.length);
    });
  }

  /** The peer ends the stream with a gRPC status. */
  closeByPeer(stream: PeerStream, status: number): void {
    stream.peerClosed = true;
    this.#envoy.post(stream.root, () => {
      if (stream.ended !== undefined) return;
      const { root, token } = stream;
      root.vm.call("proxy_on_grpc_close", { root }, root.id, token, status);
      if (root.streams.has(token) && root.vm.running) {
        throw new Error("the filter did not call proxy_grpc_close in on_grpc_close: the host's side leaks");
      }
    });
  }

  /** A root was destroyed: its streams vanish. */
  dropRoot(root: Root): void {
    for (const stream of this.streams) if (stream.root === root) stream.ended ??= "gone";
    root.streams.clear();
  }

  #find(root: Root, token: number): PeerStream | undefined {
    return root.streams.has(token) ? this.streams.find((stream) => stream.token === token) : undefined;
  }
}
