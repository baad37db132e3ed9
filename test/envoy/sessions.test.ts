import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { DEMO_HEADERS } from "../../envoy/demo.ts";
import { NEW_SESSION_HEADER, SET_COOKIE_HEADER } from "../../envoy/render/names.ts";
import type { SteeringForm } from "../../envoy/render/routes.ts";
import { Stand } from "./fixture/stand.ts";
import { requireVersion, VERSIONS } from "./fixture/versions.ts";

/** The recipe of envoy/sessions.yaml: Envoy itself gives a session to every client that has none. */
const ISSUE = { cookie: "sid", attributes: "Path=/; HttpOnly; SameSite=Lax" };
const COOKIE = /^sid=([0-9a-f-]{36}); Path=\/; HttpOnly; SameSite=Lax$/;

interface Reply {
  status: number;
  target: string;
  setCookie: string[];
}

function ask(port: number, headers: Record<string, string | string[]> = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path: "/payments", headers, agent: false }, (response) => {
      response.resume();
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          target: String(response.headers[DEMO_HEADERS.servedBy]),
          setCookie: response.headers["set-cookie"] ?? [],
        }),
      );
    });
    call.once("error", reject);
    call.end();
  });
}

const oldest = VERSIONS[0]!;
const newest = VERSIONS.at(-1)!;
const CASES: { version: string; form: SteeringForm }[] = [
  { version: oldest, form: "header-route" },
  { version: newest, form: "header-route" },
  { version: newest, form: "exact-routes" },
  { version: newest, form: "header-name" },
];

for (const { version, form } of CASES) {
  const requirements = await requireVersion(version);
  describe(`sessions that Envoy ${version} issues, ${form}`, { skip: requirements.skip }, () => {
    let stand: Stand;
    before(async () => {
      stand = await Stand.start({
        requirements,
        routes: { form, issue: ISSUE },
        filter: { sessionFrom: { cookie: ISSUE.cookie } },
        concurrency: 2,
      });
    });
    after(() => stand?.close());

    /** A new client's first request: the key it was given, and where it went. */
    const begin = async (headers: Record<string, string | string[]> = {}): Promise<{ key: string; target: string }> => {
      const { status, setCookie, target } = await ask(stand.envoy.port, headers);
      assert.equal(status, 200);
      assert.equal(setCookie.length, 1, setCookie.join(" | "));
      const key = COOKIE.exec(setCookie[0]!)?.[1];
      assert.ok(key !== undefined, setCookie[0]);
      return { key, target };
    };

    test("begin before there is any table", async () => {
      const { key } = await begin();
      assert.deepEqual((await ask(stand.envoy.port, { cookie: `sid=${key}` })).setCookie, []);
    });

    test("stay from the first request on at one target, over pushes that need not move them", async () => {
      const sticky = { "payments-a": 60, "payments-b": 40 };
      await stand.fleet.release({ payments: { weights: { "payments-a": 60, "payments-b": 40 }, sticky } });
      const sessions: { key: string; target: string }[] = [];
      for (let i = 0; i < 30; i++) sessions.push(await begin(i % 2 === 0 ? {} : { cookie: "theme=dark; lang=en" }));
      assert.equal(new Set(sessions.map(({ key }) => key)).size, sessions.length);
      assert.equal(new Set(sessions.map(({ target }) => target)).size, 2);
      for (const a of [60, 10, 90]) {
        await stand.fleet.release({ payments: { weights: { "payments-a": a, "payments-b": 100 - a }, sticky } });
        for (const { key, target } of sessions) {
          const reply = await ask(stand.envoy.port, { cookie: `lang=en; sid=${key}` });
          assert.deepEqual(reply, { status: 200, target, setCookie: [] });
        }
      }
    });

    test("begin anew for an empty key, and are never taken from a client's own headers", async () => {
      const forged = { [NEW_SESSION_HEADER]: "mine", [SET_COOKIE_HEADER]: "sid=mine; Path=/" };
      for (const headers of [{}, { cookie: "sid=" }, { cookie: "xsid=1; a=b" }]) {
        const { key } = await begin({ ...forged, ...headers });
        assert.notEqual(key, "mine");
      }
      assert.deepEqual((await ask(stand.envoy.port, { ...forged, cookie: "sid=held" })).setCookie, []);
    });

    test("no VM trapped", async () => assert.deepEqual(await stand.envoy.traps(), []));
  });
}
