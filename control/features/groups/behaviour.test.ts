import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Visit } from "../../ingest/covariates/route-visits.ts";
import { SeededRandom } from "../seeded-random.ts";
import { behaviour } from "./behaviour.ts";
import { empty, HOUR_MS, START_MS, said } from "./groups.fixture.ts";
import { embedRoutes } from "./route-embedding.ts";

/** Two kinds of clients, who never visit each other's routes, and one page that all visit. */
function twoCrowds(): Visit[] {
  const draw = new SeededRandom(4);
  const visits: Visit[] = [];
  for (let client = 0; client < 300; client++) {
    const word = client % 2 === 0 ? "buy" : "read";
    for (let k = 0; k < 6; k++) {
      const route = k === 0 ? "/" : `/${word}/${draw.integer(1, 12)}`;
      visits.push({ atMs: START_MS + client * 4 * 60_000 + k * 60_000, client: `c${client}`, route });
    }
  }
  return visits.sort((a, b) => a.atMs - b.atMs);
}

describe("route embeddings", () => {
  const embedding = embedRoutes(twoCrowds());
  const vector = (route: string) => embedding.vectors[embedding.routes.indexOf(route)]!;
  const cosine = (a: number[], b: number[]) =>
    a.reduce((sum, x, i) => sum + x * b[i]!, 0) / Math.hypot(...a) / Math.hypot(...b);

  test("lie near each other for routes of the same sessions and apart for others", () => {
    const nearness = (one: string, other: string): number => {
      let sum = 0;
      for (let i = 2; i <= 12; i++) sum += cosine(vector(`/${one}/1`), vector(`/${other}/${i}`)) / 11;
      return sum;
    };
    assert.ok(nearness("buy", "buy") > nearness("buy", "read") + 0.3);
    assert.ok(nearness("read", "read") > nearness("read", "buy") + 0.3);
    assert.equal(embedding.idf[embedding.routes.indexOf("/")], 0);
  });

  test("are the same numbers for the same visits, and leave out a route of few clients", () => {
    assert.deepEqual(embedRoutes(twoCrowds()), embedding);
    const rare = { atMs: START_MS + 100 * HOUR_MS, client: "c1", route: "/users/jane" };
    assert.ok(!embedRoutes([...twoCrowds(), rare]).routes.includes("/users/jane"));
    assert.deepEqual(embedRoutes([]), { routes: [], idf: [], vectors: [] });
  });

  test("the mix of a service moves when its clients do something else", () => {
    const visits = twoCrowds();
    const world = { ...empty, visits: new Map([["api", visits]]) };
    const mix = (originMs: number) => {
      const all = said(behaviour, world, originMs);
      return Object.entries(all)
        .filter(([name]) => name.startsWith("behaviour_mix"))
        .map(([, value]) => value);
    };
    assert.ok(mix(START_MS + 10 * HOUR_MS).some((value) => value !== 0));
    assert.ok(mix(START_MS + 300 * HOUR_MS).every((value) => value === 0));
    const moved = said(behaviour, world, START_MS + 21 * HOUR_MS);
    assert.ok(moved.behaviour_clients! < 0);
  });
});
