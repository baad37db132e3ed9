import { execFileSync } from "node:child_process";

/** A network of its own for one process, joined to this machine's by links that can be cut one by one. Needs root and iproute2. */
export class Namespace {
  readonly name: string;
  /** This machine's end and the process's end of each link, in order. */
  readonly links: readonly { here: string; there: string }[];

  private constructor(name: string, links: Namespace["links"]) {
    this.name = name;
    this.links = links;
  }

  /** Null where namespaces cannot be made. */
  static open(name: string, count: number): Namespace | null {
    try {
      ip("netns", "add", name);
    } catch {
      return null;
    }
    const block = process.pid % 250;
    const links = Array.from({ length: count }, (_, i) => ({
      here: `10.213.${block}.${i * 4 + 1}`,
      there: `10.213.${block}.${i * 4 + 2}`,
    }));
    const namespace = new Namespace(name, links);
    try {
      ip("-n", name, "link", "set", "lo", "up");
      for (const [i, { here, there }] of links.entries()) {
        ip("link", "add", namespace.#outer(i), "type", "veth", "peer", "name", `in${i}`, "netns", name);
        ip("addr", "add", `${here}/30`, "dev", namespace.#outer(i));
        ip("link", "set", namespace.#outer(i), "up");
        ip("-n", name, "addr", "add", `${there}/30`, "dev", `in${i}`);
        ip("-n", name, "link", "set", `in${i}`, "up");
      }
      return namespace;
    } catch {
      namespace.close();
      return null;
    }
  }

  get wrapper(): string[] {
    return ["ip", "netns", "exec", this.name];
  }

  /** Cuts a link without a word to either side, or heals it. */
  cut(link: number): void {
    ip("-n", this.name, "link", "set", `in${link}`, "down");
  }

  heal(link: number): void {
    ip("-n", this.name, "link", "set", `in${link}`, "up");
  }

  /** The links go with it. Processes in it must have ended. */
  close(): void {
    ip("netns", "del", this.name);
  }

  #outer(link: number): string {
    return `${this.name}-${link}`;
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: "pipe" });
}
