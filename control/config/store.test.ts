import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError, type ConfigProblem, formatProblem } from "./config-error.ts";
import { parseConfig } from "./load-config.ts";

const withStore = (store: string) => `version: 1
fleet: f
${store}
estate: { servicenow: export }
services:
  s:
    ci: S
    targets:
      a: { ci: A, base: 60% }
      b: { ci: B, base: 40% }
`;

function problemsOf(store: string): readonly ConfigProblem[] {
  try {
    parseConfig(withStore(store), "ballast.yaml");
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

const monitors = "monitor: [http://127.0.0.1:8222, http://127.0.0.1:8223, http://127.0.0.1:8224]";

test("a store on NATS is read with its defaults", () => {
  const { store } = parseConfig(
    withStore(`store:\n  nats:\n    servers: [nats://127.0.0.1:4222]\n    ${monitors}`),
    "ballast.yaml",
  );
  assert.deepEqual(store.nats, {
    servers: ["nats://127.0.0.1:4222"],
    monitors: ["http://127.0.0.1:8222", "http://127.0.0.1:8223", "http://127.0.0.1:8224"],
    name: "ballast",
    replicas: 3,
    credentialsFile: null,
    tls: null,
    timeoutMs: 5_000,
    maxBytes: 0,
    allowFewReplicas: false,
    allowUnsynced: false,
  });
});

test("with a store on NATS the files of this server alone lie in a folder of its own", () => {
  const at = (more: string) => `store:\n  nats:\n    servers: [nats://127.0.0.1:4222]\n    ${monitors}\n${more}`;
  assert.equal(parseConfig(withStore(at("")), "ballast.yaml").store.sqlite, ".ballast/ballast.db");
  const { store } = parseConfig(withStore(at("    folder: /var/lib/ballast")), "ballast.yaml");
  assert.equal(store.sqlite, "/var/lib/ballast/ballast.db");
});

test("without a store the default file is used", () => {
  const { store } = parseConfig(withStore(""), "ballast.yaml");
  assert.deepEqual(store, { sqlite: ".ballast/ballast.db", nats: null });
});

describe("a store that would be unsafe is refused at its place", () => {
  const cases: [string, string, RegExp][] = [
    ["store: {}", "3:8", /sqlite/],
    [`store: { sqlite: x, nats: { servers: [nats://127.0.0.1:1], ${monitors} } }`, "3:18", /one of them/],
    [`store: { nats: { ${monitors} } }`, "3:16", /the addresses of the NATS servers/],
    [`store: { nats: { servers: [nats://10.0.0.1:4222], ${monitors} } }`, "3:28", /loopback/],
    ["store: { nats: { servers: [tls://nats-1:4222], monitor: [http://10.0.0.1:8222] } }", "3:58", /loopback/],
    ["store: { nats: { servers: [tls://10.0.0.1:4222], allowUnsynced: true } }", "3:28", /host name/],
    ["store: { nats: { servers: [nats://u:p@127.0.0.1:4222], allowUnsynced: true } }", "3:28", /an address such as/],
    ["store: { nats: { servers: [nats://127.0.0.1:4222] } }", "3:16", /at least 3/],
    ["store: { nats: { servers: [nats://127.0.0.1:4222], replicas: 1, allowUnsynced: true } }", "3:62", /3 or 5/],
    ["store: { nats: { servers: [nats://127.0.0.1:4222], replicas: 2, allowUnsynced: true } }", "3:62", /1, 3 or 5/],
    ["store: { nats: { servers: [nats://127.0.0.1:4222], allowUnsynced: yes } }", "3:67", /true or false/],
    ["store: { nats: { servers: [tls://nats-1:1], allowUnsynced: true, tls: { cert: c } } }", "3:79", /both/],
  ];
  for (const [store, place, expected] of cases) {
    test(store, () => {
      const [problem] = problemsOf(store);
      assert.ok(problem !== undefined, "it is accepted");
      const text = formatProblem(problem);
      assert.match(text, expected);
      assert.ok(text.includes(`:${place}`), text);
    });
  }
});

test("for development clear text, one replica and unsynced servers are accepted when each is said", () => {
  const { store } = parseConfig(
    withStore(
      "store: { nats: { servers: [nats://nats-1:4222], replicas: 1, allowFewReplicas: true, allowUnsynced: true, allowClearText: true } }",
    ),
    "ballast.yaml",
  );
  assert.equal(store.nats?.replicas, 1);
});
