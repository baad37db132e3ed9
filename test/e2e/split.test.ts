import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { xxh64 } from "../../common/xxh64.ts";
import type { BuiltTable } from "../../control/table/build.ts";
import { makeSet } from "../../control/table/set.ts";
import { liveSessionKeys } from "../../demo/sessions.ts";
import { type Answer, Client, countServed } from "./fixture/client.ts";
import { COOKIE, FLEET } from "./fixture/envoy.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { type SteeredEnvoy, startSteeredEnvoy } from "./fixture/steered-envoy.ts";

const requirements = await requireEnvoy();
const { skip } = requirements;

/** Most that a target may be away from the blend of two quotas across one change. */
const BLEND_TOLERANCE = 3;

function quotas(built: BuiltTable): Record<string, number> {
  return Object.fromEntries(
    built.table.targets.filter((target) => target.orderQuota > 0).map(({ name, orderQuota }) => [name, orderQuota]),
  );
}

for (const slots of [256, 1024]) {
  describe(`one worker, tables of ${slots} slots`, { skip }, () => {
    let stand: SteeredEnvoy;
    before(async () => {
      stand = await startSteeredEnvoy(requirements, { slots });
    });
    after(() => stand?.close());

    test("before the first activation requests take the user's own static route", async () => {
      const answers = await stand.client.askInTurn("quotes", 50);
      assert.deepEqual([...new Set(answers.map(({ status, route }) => `${status} ${route}`))], ["200 static"]);
    });

    test("staging alone changes nothing, activation moves the next request", async () => {
      const { fleet, client } = stand;
      const built = fleet.draft({ quotes: { weights: { "quotes-a": 0, "quotes-b": 0, "quotes-n": 100 } } });
      const staged = await fleet.stage(makeSet([...built.values()].map((table) => table.encoded)));
      assert.equal(staged.acks, 1, staged.reason);
      assert.deepEqual([...new Set((await client.askInTurn("quotes", 50)).map(({ route }) => route))], ["static"]);
      const activated = await fleet.activate();
      assert.equal(activated.acks, 1, activated.reason);
      const answers = await client.askInTurn("quotes", 50);
      assert.deepEqual(
        [...new Set(answers.map(({ servedBy, route }) => `${servedBy} ${route}`))],
        ["quotes-n steered"],
      );
    });

    test("any M consecutive picks hit the quotas exactly, weight 0 included", async () => {
      const { fleet, client } = stand;
      const built = await fleet.release({ quotes: { weights: { "quotes-a": 70, "quotes-b": 30, "quotes-n": 0 } } });
      const want = quotas(built.get("quotes")!);
      const answers = await client.askInTurn("quotes", 2 * slots + 57);
      for (let from = 0; from + slots <= answers.length; from++) {
        assert.deepEqual(countServed(answers.slice(from, from + slots)), want, `picks ${from} to ${from + slots}`);
      }
    });

    test(`across one change every M picks are within ${BLEND_TOLERANCE} of the blended quotas`, async () => {
      const { fleet, client } = stand;
      const old = quotas(fleet.tables.get("quotes")!);
      const answers: Answer[] = await client.askInTurn("quotes", slots);
      let released = false;
      let built: BuiltTable | null = null;
      const release = fleet
        .release({ quotes: { weights: { "quotes-a": 20, "quotes-b": 55, "quotes-n": 25 } } })
        .then((tables) => {
          built = tables.get("quotes")!;
          released = true;
        });
      const earliest = answers.length;
      while (!released) answers.push(await client.ask("quotes"));
      const latest = answers.length;
      await release;
      answers.push(...(await client.askInTurn("quotes", slots)));
      const now = quotas(built!);
      const worst = bestSwitch(answers, { old, now, earliest, latest, slots });
      assert.ok(worst <= BLEND_TOLERANCE, `off by ${worst.toFixed(2)} requests`);
    });

    test("no request failed and no VM trapped", async () => {
      assert.deepEqual(await stand.envoy.traps(), []);
    });
  });
}

/**
 * The client does not see at which of its requests the worker took the new table, only between which two. For the best of the
 * possible points: the largest distance of any target in any M consecutive picks from its share of old and new quota.
 */
function bestSwitch(
  answers: readonly Answer[],
  change: {
    old: Record<string, number>;
    now: Record<string, number>;
    earliest: number;
    latest: number;
    slots: number;
  },
): number {
  const { old, now, earliest, latest, slots } = change;
  const targets = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const served = targets.map((target) => {
    const sums = [0];
    for (const answer of answers) sums.push(sums.at(-1)! + (answer.servedBy === target ? 1 : 0));
    return sums;
  });
  let best = Number.POSITIVE_INFINITY;
  for (let at = earliest; at <= latest; at++) {
    let worst = 0;
    for (let from = 0; from + slots <= answers.length; from++) {
      const before = Math.min(slots, Math.max(0, at - from));
      for (const [i, target] of targets.entries()) {
        const blend = ((old[target] ?? 0) * before + (now[target] ?? 0) * (slots - before)) / slots;
        worst = Math.max(worst, Math.abs(served[i]![from + slots]! - served[i]![from]! - blend));
      }
    }
    best = Math.min(best, worst);
  }
  return best;
}

describe("sessions over pushes, two workers", { skip }, () => {
  const SLOTS = 1024;
  const hash = (text: string, seed: bigint): bigint => xxh64(Buffer.from(text), seed);
  const keys = liveSessionKeys({ fleet: FLEET, seed: 3, hash });
  const shift = BigInt(64 - Math.log2(SLOTS));
  const slotOf = keys.map((key) => Number(hash(key, hash(FLEET, 0n)) >> shift));
  let stand: SteeredEnvoy;
  before(async () => {
    stand = await startSteeredEnvoy(requirements, { concurrency: 2, slots: SLOTS });
  });
  after(() => stand?.close());

  const observe = async (): Promise<(string | null)[]> => {
    const answers: Answer[] = [];
    for (const key of keys) answers.push(await stand.client.ask("payments", { cookie: `a=1; ${COOKIE}=${key}; b=2` }));
    assert.deepEqual([...new Set(answers.map(({ status, route }) => `${status} ${route}`))], ["200 steered"]);
    return answers.map((answer) => answer.servedBy);
  };

  test("a session stays on its target unless its slot had to move, and only the necessary slots move", async () => {
    const { fleet } = stand;
    const release = async (a: number): Promise<BuiltTable> =>
      (await fleet.release({ payments: { weights: { "payments-a": a, "payments-b": 100 - a } } })).get("payments")!;
    let table = await release(60);
    const home = await observe();
    let where = home;
    for (const a of [75, 100, 80, 60]) {
      const before = table;
      table = await release(a);
      const now = await observe();
      const { targets, sticky } = table.table;
      for (const [i, target] of now.entries()) {
        assert.equal(target, targets[sticky[slotOf[i]!]!]!.name, `session ${keys[i]}`);
      }
      const moved = now.filter((target, i) => target !== where[i]).length;
      // One session per slot: as many sessions move as slots must.
      assert.equal(table.slotsMoved, table.slotsMinMoved);
      assert.equal(
        moved,
        table.slotsMinMoved,
        `from ${JSON.stringify(quotas(before))} to ${JSON.stringify(quotas(table))}`,
      );
      where = now;
    }
    assert.deepEqual(where, home, "a drain and its return end where they began");
  });

  test("every worker serves the same session alike", async () => {
    const { rig, envoy } = stand;
    // exact_balance gives consecutive connections to different workers.
    const clients = [new Client(rig, envoy.port), new Client(rig, envoy.port), new Client(rig, envoy.port)];
    for (const key of keys.slice(0, 50)) {
      const targets = new Set<string | null>();
      for (const client of clients) {
        targets.add((await client.ask("payments", { cookie: `${COOKIE}=${key}` })).servedBy);
      }
      assert.equal(targets.size, 1, key);
    }
  });
});
