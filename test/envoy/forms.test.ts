import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { STEER_HEADER } from "../../envoy/demo.ts";
import type { FilterOptions } from "../../envoy/render/filter.ts";
import { FORMS, type SteeringForm } from "../../envoy/render/routes.ts";
import { type Answer, countServed } from "../e2e/fixture/client.ts";
import { SLOTS, Stand } from "./fixture/stand.ts";
import { requireVersion, VERSIONS } from "./fixture/versions.ts";

/** The oldest and the newest line; `matrix.test.ts` runs one form on every line. */
const ENVOYS = await Promise.all(
  [VERSIONS[0]!, VERSIONS.at(-1)!].map(async (version) => ({ version, requirements: await requireVersion(version) })),
);

/** Every form with another source of the service and of the session, so that each source is run, and each form with a session or without. */
const CASES: { form: SteeringForm; filter: Omit<FilterOptions, "wasmPath">; headers?: Record<string, string> }[] = [
  {
    form: "header-route",
    filter: { serviceFrom: { header: "x-service" }, sessionFrom: { header: "x-session" } },
    headers: { "x-service": "payments" },
  },
  { form: "exact-routes", filter: { serviceFrom: "route_name", sessionFrom: { cookie: "sid" } } },
  { form: "exact-routes", filter: { serviceFrom: { fixed: "payments" } } },
  { form: "header-name", filter: { serviceFrom: "route_name", sessionFrom: { cookie: "sid" } } },
  { form: "header-name", filter: { serviceFrom: { fixed: "payments" }, sessionFrom: { header: "x-session" } } },
];

/** All 50 at one target by chance: once in 10^11. */
const PER_FORGERY = 50;
/** What a client may send to get to payments-a, in either alphabet of the forms. */
const FORGERIES: Record<string, string | string[]>[] = [
  { [STEER_HEADER]: "payments-a" },
  { [STEER_HEADER]: "0" },
  { [STEER_HEADER]: ["payments-a", "payments-a"] },
  { [STEER_HEADER]: ["0", "1"] },
  { [STEER_HEADER.toUpperCase()]: "0" },
  { [STEER_HEADER]: "no-such-cluster" },
  { [STEER_HEADER]: "" },
];

const RUNS = ENVOYS.flatMap((envoy) => CASES.map((one) => ({ ...envoy, ...one })));
for (const { version, requirements, form, filter, headers = {} } of RUNS) {
  describe(`Envoy ${version}, ${form}, service from ${JSON.stringify(filter.serviceFrom)}, session from ${JSON.stringify(filter.sessionFrom)}`, {
    skip: requirements.skip,
  }, () => {
    let stand: Stand;
    before(async () => {
      stand = await Stand.start({ requirements, routes: { form }, filter });
    });
    after(() => stand?.close());

    const ask = (count: number, more: Record<string, string | string[]> = {}): Promise<Answer[]> =>
      stand.client.askInTurn("payments", count, { ...headers, ...more });
    /** The answers to each forgery in turn. */
    const forge = async (): Promise<Answer[][]> => {
      const groups: Answer[][] = [];
      for (const forgery of FORGERIES) groups.push(await ask(PER_FORGERY, forgery));
      return groups;
    };
    const session = (key: string): Record<string, string> => {
      const from = filter.sessionFrom;
      if (from === undefined) return {};
      return "cookie" in from ? { cookie: `a=b; ${from.cookie}=${key}` } : { [from.header]: key };
    };
    /** Each forgery met both targets, as the static weights of 60 to 40 have it. */
    const assertStatic = (groups: readonly Answer[][]): void => {
      for (const [i, answers] of groups.entries()) {
        const served = countServed(answers);
        assert.deepEqual(Object.keys(served).sort(), ["payments-a", "payments-b"], JSON.stringify(FORGERIES[i]));
      }
      assert.equal(stand.upstreams.leaked, 0);
    };

    test("a client's own header changes nothing while there is no table", async () => assertStatic(await forge()));

    test("every M picks hit the quotas exactly", async () => {
      for (const a of [75, 25]) {
        await stand.fleet.release({ payments: { weights: { "payments-a": a, "payments-b": 100 - a } } });
        const want = { "payments-a": (SLOTS * a) / 100, "payments-b": (SLOTS * (100 - a)) / 100 };
        assert.deepEqual(countServed(await ask(SLOTS)), want);
      }
    });

    test("a target of weight 0 gets nothing, whatever the client sends", async () => {
      await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } });
      assert.deepEqual(Object.keys(countServed([...(await ask(SLOTS)), ...(await forge()).flat()])), ["payments-b"]);
      assert.equal(stand.upstreams.leaked, 0);
    });

    if (filter.sessionFrom !== undefined) {
      test("a session stays on its target over pushes that need not move it", async () => {
        await stand.fleet.release({ payments: { weights: { "payments-a": 50, "payments-b": 50 } } });
        const keys = Array.from({ length: 20 }, (_, i) => `session-${i}`);
        const where = async (): Promise<(string | null)[]> => {
          const targets: (string | null)[] = [];
          for (const key of keys) {
            const answers = await ask(3, session(key));
            assert.equal(Object.keys(countServed(answers)).length, 1, key);
            targets.push(answers[0]!.servedBy);
          }
          return targets;
        };
        const before = await where();
        assert.equal(new Set(before).size, 2);
        // Order changes, the sessions' shares do not.
        await stand.fleet.release({
          payments: { weights: { "payments-a": 20, "payments-b": 80 }, sticky: { "payments-a": 50, "payments-b": 50 } },
        });
        assert.deepEqual(await where(), before);
      });

      test("a draining target keeps its old sessions and gets no request without one", async () => {
        const half = { "payments-a": 50, "payments-b": 50 };
        await stand.fleet.release({ payments: { weights: half } });
        const keys = Array.from({ length: 30 }, (_, i) => `old-${i}`);
        const where = async (): Promise<(string | null)[]> => {
          const targets: (string | null)[] = [];
          for (const key of keys)
            targets.push((await stand.client.ask("payments", { ...headers, ...session(key) })).servedBy);
          return targets;
        };
        const before = await where();
        assert.equal(new Set(before).size, 2);
        const built = await stand.fleet.release({
          payments: { weights: { "payments-a": 0, "payments-b": 100 }, sticky: half, draining: ["payments-a"] },
        });
        const [a] = built.get("payments")!.table.targets;
        assert.deepEqual([a!.draining, a!.orderQuota, a!.stickyQuota], [true, 0, SLOTS / 2]);
        assert.deepEqual(await where(), before);
        assert.deepEqual(countServed(await ask(SLOTS)), { "payments-b": SLOTS });
      });
    }

    for (const mode of ["observe", "passthrough"] as const) {
      test(`a client's own header changes nothing in mode ${mode}`, async () => {
        await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } }, mode);
        assertStatic(await forge());
      });
    }

    test("a client's own header changes nothing with the kill switch on", async () => {
      await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } });
      await stand.envoy.killSwitch(100);
      // The workers have the new value some requests after the admin endpoint has answered.
      await ask(20);
      assertStatic(await forge());
      await stand.envoy.killSwitch(0);
    });

    test("no VM trapped", async () => assert.deepEqual(await stand.envoy.traps(), []));
  });
}

test("every form is run", () => assert.deepEqual([...new Set(CASES.map(({ form }) => form))], FORMS));
