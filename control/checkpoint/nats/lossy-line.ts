import { once } from "node:events";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";

/** Time that a server has to store what it received before the line is cut. */
const STORE_MS = 50;

/**
 * For tests: a line to one server that is cut at a chosen request, before the request or before its answer gets through.
 * `lost` counts what was cut.
 */
export class LossyLine {
  lost = 0;
  #fault: { marker: string; lose: "request" | "answer" } | null = null;
  #swallow = false;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();

  constructor(port: number) {
    this.#listener = createServer((client) => {
      const server = new Socket().connect(port, "127.0.0.1");
      client.on("data", (data) => {
        const fault = this.#fault;
        if (fault === null || !data.includes(fault.marker)) {
          server.write(data);
          return;
        }
        this.#fault = null;
        this.lost += 1;
        this.#swallow = true;
        if (fault.lose === "answer") server.write(data);
        setTimeout(() => {
          this.#swallow = false;
          this.#cut();
        }, STORE_MS);
      });
      server.on("data", (data) => {
        if (!this.#swallow) client.write(data);
      });
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
    });
  }

  async open(): Promise<string> {
    await once(this.#listener.listen(0, "127.0.0.1"), "listening");
    return `nats://127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  /** The next request whose bytes contain `marker` is lost on its way, or its answer is; then the connection. */
  loseNext(marker: string, lose: "request" | "answer"): void {
    this.#fault = { marker, lose };
  }

  close(): void {
    this.#listener.close();
    this.#cut();
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
