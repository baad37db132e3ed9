import type { Ci } from "./estate.ts";
import type { Graph } from "./graph.ts";

/** The CIs that one target depends on, itself included, with a shortest path to each. */
export class Reach {
  readonly #graph: Graph;
  /** For each reached CI the one it was reached from; null for the start. */
  readonly #from: Map<string, string | null>;

  /**
   * `exclude` (the target's own service) is never entered: a service depends on its targets, and through a reversed
   * relation or a circle every target would otherwise inherit from all others.
   * Nothing is inherited through a retired CI.
   */
  constructor(graph: Graph, start: Ci, exclude: string) {
    this.#graph = graph;
    this.#from = new Map([[start.id, null]]);
    let ring = [start.id];
    while (ring.length > 0) {
      const next: string[] = [];
      // Ring by ring in the order of sys_ids: among shortest paths the choice depends on the content alone.
      for (const id of ring) {
        for (const { dependency } of graph.below.get(id) ?? []) {
          if (this.#from.has(dependency) || dependency === exclude || graph.cis.get(dependency)!.retired) continue;
          this.#from.set(dependency, id);
          next.push(dependency);
        }
      }
      ring = next;
    }
  }

  has(id: string): boolean {
    return this.#from.has(id);
  }

  ids(): Iterable<string> {
    return this.#from.keys();
  }

  /** CIs from the start to `id`, both included. */
  path(id: string): Ci[] {
    const path: Ci[] = [];
    for (let at: string | null | undefined = id; at !== null; at = this.#from.get(at)) {
      if (at === undefined) throw new Error(`CI ${id} is not reached`);
      path.push(this.#graph.cis.get(at)!);
    }
    return path.reverse();
  }
}
