import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError, type ConfigProblem, formatProblem } from "./config-error.ts";
import { parseConfig } from "./load-config.ts";

const withTickets = (tickets: string) => `version: 1
fleet: f
${tickets}
estate: { servicenow: export }
services:
  s:
    ci: S
    targets:
      a: { ci: A, base: 60% }
      b: { ci: B, base: 40% }
`;

function problemsOf(tickets: string): readonly ConfigProblem[] {
  try {
    parseConfig(withTickets(tickets), "ballast.yaml");
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

const read = (servicenow: string, more = "") =>
  parseConfig(
    withTickets(`tickets: { servicenow: { url: "https://x.service-now.com/", ${servicenow} }${more} }`),
    "b.yaml",
  ).tickets;

test("a ticket system is read with its defaults, and none without the section", () => {
  assert.deepEqual(read("user: ballast, passwordEnv: PW"), {
    servicenow: {
      url: "https://x.service-now.com",
      auth: { kind: "basic", user: "ballast", password: { env: "PW" } },
      standardTemplate: null,
      assignmentGroup: null,
      timeoutMs: 10_000,
      checkTimeoutMs: 60_000,
    },
    approvals: "ticket",
    whenDown: "hold",
    onConflict: "hold",
    pollEveryMs: 30_000,
    windowMs: 3_600_000,
  });
  assert.equal(parseConfig(withTickets(""), "b.yaml").tickets, null);
});

test("the other ways to sign in", () => {
  assert.deepEqual(read("tokenFile: /run/token")?.servicenow.auth, { kind: "bearer", token: { file: "/run/token" } });
  const oauth = read("user: u, passwordFile: p, clientId: c, clientSecretEnv: S")?.servicenow.auth;
  assert.deepEqual(oauth, {
    kind: "oauth",
    user: "u",
    password: { file: "p" },
    clientId: "c",
    clientSecret: { env: "S" },
  });
});

describe("what is wrong is refused at its place", () => {
  const url = 'url: "https://x.service-now.com"';
  const cases: [string, string, RegExp][] = [
    ["tickets: {}", "3:10", /servicenow/],
    ["tickets: { servicenow: { user: u, passwordEnv: P } }", "3:24", /url/],
    ['tickets: { servicenow: { url: "http://x.example", user: u, passwordEnv: P } }', "3:31", /loopback/],
    ['tickets: { servicenow: { url: "https://x.example/nav", user: u, passwordEnv: P } }', "3:31", /base URL/],
    [`tickets: { servicenow: { ${url}, user: u } }`, "3:24", /passwordEnv or passwordFile/],
    [`tickets: { servicenow: { ${url}, user: u, passwordEnv: P, passwordFile: p } }`, "3:99", /both/],
    [`tickets: { servicenow: { ${url}, user: u, tokenEnv: T } }`, "3:66", /both a token and user/],
    [`tickets: { servicenow: { ${url}, user: u, passwordEnv: P, clientId: c } }`, "3:24", /clientSecretEnv/],
    [`tickets: { servicenow: { ${url}, user: u, passwordEnv: P, standardTemplate: x } }`, "3:103", /32 hex/],
    [`tickets: { servicenow: { ${url}, user: u, passwordEnv: P }, whenDown: never }`, "3:97", /hold or proceed/],
  ];
  for (const [yaml, place, expected] of cases) {
    test(yaml, () => {
      const [problem, ...rest] = problemsOf(yaml);
      assert.ok(problem !== undefined && rest.length === 0, JSON.stringify([problem, ...rest]));
      assert.equal(`${problem.position.line}:${problem.position.column}`, place);
      assert.match(formatProblem(problem), expected);
    });
  }

  test("a secret in the file is refused, and its text is in no message", () => {
    const problems = problemsOf(`tickets: { servicenow: { ${url}, user: u, password: hunter2, passwordEnv: P } }`);
    assert.equal(problems.length, 1);
    assert.match(formatProblem(problems[0]!), /passwordEnv or passwordFile/);
    assert.doesNotMatch(formatProblem(problems[0]!), /hunter2/);
  });
});
