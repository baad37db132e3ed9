import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BallastError } from "../../common/errors.ts";
import { ConfigError, type ConfigProblem, formatProblem } from "./config-error.ts";
import { FIELDS, loadConfig, parseConfig } from "./load-config.ts";
import { toServicePolicy } from "./service-policy.ts";

const demoPath = "demo/ballast.yaml";
const demo = await readFile(demoPath, "utf8");

const minimal = `version: 1
fleet: f
estate: { servicenow: export }
services:
  s:
    ci: S
    targets:
      a: { ci: A, base: 60% }
      b: { ci: B, base: 40% }
`;

function problemsOf(text: string): readonly ConfigProblem[] {
  try {
    parseConfig(text, "ballast.yaml");
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

/** The demo's file with one piece of text replaced. */
function demoWith(from: string, to: string): string {
  assert.equal(demo.split(from).length, 2, `${JSON.stringify(from)} must occur once in ${demoPath}`);
  return demo.replace(from, to);
}

/** Where `at` stands in `changed`, or else anywhere in the text; lines and columns from 1. */
function placeOf(text: string, changed: string, at: string): string {
  const within = changed.indexOf(at);
  const index = within < 0 ? text.indexOf(at) : text.indexOf(changed) + within;
  assert.ok(index >= 0, at);
  const before = text.slice(0, index).split("\n");
  return `${before.length}:${before.at(-1)!.length + 1}`;
}

test("the demo's file is read into checked values with units", async () => {
  const config = await loadConfig(demoPath);
  assert.deepEqual(config.clock, { startMs: Date.UTC(2026, 2, 2, 6, 5), rate: 300 });
  assert.deepEqual(config.server.xds, { host: "127.0.0.1", port: 18000 });
  assert.equal(config.policy.stepLimitPpm, 200_000);
  assert.equal(config.policy.leadTimeMs, 25 * 60_000);
  const policy = toServicePolicy(config, "payments");
  assert.deepEqual(
    [...policy.basePpm],
    [
      ["payments-site-a", 600_000],
      ["payments-site-b", 400_000],
    ],
  );
  assert.equal(policy.hasSessions, true);
  assert.equal(policy.sessionsMoveBeforeMs, 30 * 60_000);
  assert.equal(policy.targetUtilisation, 0.7);
  assert.equal(toServicePolicy(config, "quotes").hasSessions, false);
});

test("fields that are left out have their documented defaults and a service starts in observe mode", () => {
  const config = parseConfig(minimal, "x.yaml");
  assert.equal(config.clock, null);
  assert.equal(config.model, null);
  assert.deepEqual(config.envoy.admin, []);
  assert.equal(config.tables.slots, 1024);
  assert.equal(config.services.get("s")!.mode, "observe");
  assert.equal(config.policy.capPpm, 1_000_000);
});

test("a service's own policy fields override the common ones and leave the others", () => {
  const text = minimal.replace("    ci: S\n", "    ci: S\n    policy: { stepLimit: 5%, floor: 10% }\n");
  const config = parseConfig(`${text}policy: { stepLimit: 30%, cap: 80% }\n`, "x.yaml");
  const policy = toServicePolicy(config, "s");
  assert.equal(policy.stepLimitPpm, 50_000);
  assert.equal(policy.floorPpm, 100_000);
  assert.equal(policy.capPpm, 800_000);
  assert.equal(config.policy.stepLimitPpm, 300_000);
});

test("names keep the text of the file: a sys_id of digits alone stays exact", () => {
  const id = "00112233445566778899001122334455";
  assert.equal(parseConfig(minimal.replace("ci: S", `ci: ${id}`), "x").services.get("s")!.ci, id);
});

test("a target may be called __proto__ without touching any prototype", () => {
  const config = parseConfig(minimal.replace("      a:", "      __proto__:"), "x");
  assert.deepEqual([...config.services.get("s")!.targets.keys()], ["__proto__", "b"]);
  assert.equal(({} as { ci?: string }).ci, undefined);
});

describe("each mistake is reported at its place with what was expected", () => {
  const cases: { what: string; from: string; to: string; at: string; path: string; expected: RegExp }[] = [
    {
      what: "an unknown field names the nearest known one",
      from: "  stepLimit: 20%",
      to: "  stepLimt: 20%",
      at: "stepLimt",
      path: "policy.stepLimt",
      expected: /`stepLimit`\?/,
    },
    {
      what: "an unknown field far from all lists them",
      from: "store:",
      to: "warehouse: 3\nstore:",
      at: "warehouse",
      path: "warehouse",
      expected: /one of version, fleet/,
    },
    { what: "a wrong type", from: "rate: 300", to: "rate: fast", at: "fast", path: "clock.rate", expected: /a factor/ },
    {
      what: "a mapping where a value belongs",
      from: "floor: 0%",
      to: "floor: { all: 0% }",
      at: "{ all: 0% }",
      path: "policy.floor",
      expected: /a percent such as 20%/,
    },
    {
      what: "a field without a value",
      from: "fleet: demo",
      to: "fleet:",
      at: "fleet:",
      path: "fleet",
      expected: /a name of 1 to 128/,
    },
    {
      what: "a percent without its sign",
      from: "hysteresis: 1%",
      to: "hysteresis: 1",
      at: "1",
      path: "policy.hysteresis",
      expected: /a percent/,
    },
    {
      what: "a duration without a unit",
      from: "leadTime: 25m",
      to: "leadTime: 25",
      at: "25",
      path: "policy.leadTime",
      expected: /a duration such as 90s/,
    },
    {
      what: "a time without a zone",
      from: "2026-03-02T06:05:00Z",
      to: "2026-03-02T06:05:00",
      at: "2026-03-02T06:05:00",
      path: "clock.start",
      expected: /with its zone/,
    },
    {
      what: "a date that does not exist",
      from: "2026-03-02T06:05:00Z",
      to: "2026-02-30T06:05:00Z",
      at: "2026-02-30",
      path: "clock.start",
      expected: /with its zone/,
    },
    {
      what: "a step limit of zero",
      from: "stepLimit: 20%",
      to: "stepLimit: 0%",
      at: "0%",
      path: "policy.stepLimit",
      expected: /above 0%/,
    },
    {
      what: "a base sum other than 100 %",
      from: "base: 45%",
      to: "base: 46%",
      at: "quotes-site-a:",
      path: "services.quotes.targets",
      expected: /sum to 100%/,
    },
    {
      what: "a cluster name with a space",
      from: "ledger-site-b:",
      to: '"ledger site b":',
      at: '"ledger site b"',
      path: "services.ledger.targets.ledger site b",
      expected: /a name of 1 to 128/,
    },
    {
      what: "a target in two services",
      from: "ledger-site-b:",
      to: "quotes-site-b:",
      at: "{ ci: ledger-app-b",
      path: "services.ledger.targets.quotes-site-b",
      expected: /one service only/,
    },
    {
      what: "a duplicate key",
      from: "fleet: demo",
      to: "fleet: demo\nfleet: other",
      at: "fleet: other",
      path: "fleet",
      expected: /each name once/,
    },
    {
      what: "an address others can reach, without TLS",
      from: "xds: 127.0.0.1:18000",
      to: "xds: 0.0.0.0:18000",
      at: "0.0.0.0",
      path: "server.xds",
      expected: /a loopback address.*TLS/,
    },
    {
      what: "one port for two listeners",
      from: "api: 127.0.0.1:18001",
      to: "api: 127.0.0.1:18000",
      at: "127.0.0.1:18000",
      path: "server.api",
      expected: /two different ports/,
    },
    {
      what: "a clear-text admin endpoint elsewhere",
      from: "http://127.0.0.1:9901",
      to: "http://10.0.0.1:9901",
      at: "http://10.0.0.1:9901",
      path: "envoy.admin[0]",
      expected: /https/,
    },
    {
      what: "slots that are no power of two",
      from: "slots: 1024",
      to: "slots: 1000",
      at: "1000",
      path: "tables.slots",
      expected: /power of two/,
    },
    {
      what: "a history step that does not divide the day",
      from: "step: 5m",
      to: "step: 7m",
      at: "7m",
      path: "history.step",
      expected: /whole part of a day/,
    },
    {
      what: "sessions that leave after all traffic must have left",
      from: "moveBefore: 30m",
      to: "moveBefore: 5m",
      at: "5m",
      path: "services.payments.sessions.moveBefore",
      expected: /no later than/,
    },
    {
      what: "a version that is not known",
      from: "version: 1",
      to: "version: 2",
      at: "2",
      path: "version",
      expected: /^1$/,
    },
  ];
  for (const c of cases) {
    test(c.what, () => {
      const text = demoWith(c.from, c.to);
      const problems = problemsOf(text);
      assert.equal(problems.length, 1, problems.map(formatProblem).join("\n"));
      const { position, expected } = problems[0]!;
      assert.equal(position.file, "ballast.yaml");
      assert.equal(`${position.line}:${position.column}`, placeOf(text, c.to, c.at));
      assert.equal(position.path, c.path);
      assert.match(expected, c.expected);
    });
  }
});

describe("bounds that no plan could satisfy are refused", () => {
  const bounds: [policy: string, found: RegExp][] = [
    ["{ floor: 40%, cap: 60% }", /floor 40% for the 3 targets of services.quotes.targets: 120% in sum/],
    ["{ cap: 45% }", /cap 45% for the 2 targets of services.payments.targets: room for 90%/],
    ["{ floor: 30%, cap: 20% }", /floor 30% above cap 20%/],
    ["{ hysteresis: 30%, stepLimit: 10% }", /hysteresis 30% above stepLimit 10%/],
    ["{ floor: 25% }", /base 20% below floor 25%/],
    ["{ cap: 55% }", /base 60% above cap 55%/],
  ];
  const noPolicy = demo.replace(/^policy:\n(?: {2}.*\n)+/m, "");
  for (const [policy, found] of bounds) {
    test(policy, () => {
      const problems = problemsOf(`${noPolicy}\npolicy: ${policy}\n`);
      assert.ok(
        problems.some((p) => found.test(p.found)),
        problems.map(formatProblem).join("\n"),
      );
      assert.ok(problems.every((p) => p.position.line !== undefined && p.position.column !== undefined));
    });
  }
});

test("all mistakes of a file are reported together, in the order of the file", () => {
  const text = demo
    .replace("fleet: demo", "fleet: de mo")
    .replace("rate: 300", "rate: -1")
    .replace("base: 45%", "base: lots")
    .replace("ci: Ledger", "cii: Ledger");
  const problems = problemsOf(text);
  const paths = problems.map((p) => p.position.path);
  const missing = "services.ledger.ci";
  assert.deepEqual(paths, [
    "fleet",
    "clock.rate",
    "services.quotes.targets.quotes-site-a.base",
    "services.ledger.cii",
    missing,
  ]);
  assert.throws(
    () => parseConfig(text, "b.yaml"),
    (error: Error) =>
      /CONFIG_INVALID: 5 mistakes in b\.yaml/.test(error.message) &&
      /b\.yaml:\d+:\d+ \(clock\.rate\)/.test(error.message),
  );
});

test("tabs and other YAML faults carry the parser's position", () => {
  const tab = problemsOf("version: 1\nclock:\n\tstart: 2026-03-02T06:05:00Z\n");
  assert.equal(tab[0]!.position.line, 3);
  assert.equal(tab[0]!.expected, "YAML");
  const bracket = problemsOf("version: 1\nenvoy: { admin: [http://127.0.0.1:1\nfleet: x\n");
  assert.ok(bracket.length > 0 && bracket[0]!.position.line !== undefined);
});

test("an empty file, a list, two documents and an alias are refused, not misread", () => {
  for (const text of [
    "",
    "# nothing\n",
    "- a\n- b\n",
    "just text",
    `${minimal}---\n${minimal}`,
    minimal.replace("ci: A", "ci: *x"),
  ]) {
    assert.ok(problemsOf(text).length > 0, JSON.stringify(text));
  }
});

test("a file that is not there is CONFIG_UNREADABLE", async () => {
  await assert.rejects(
    loadConfig("no/such/ballast.yaml"),
    (error) => error instanceof BallastError && error.code === "CONFIG_UNREADABLE",
  );
});

test("whatever bytes a file holds, the outcome is a configuration or positioned mistakes", () => {
  const damage = fc.record({
    at: fc.nat(demo.length),
    remove: fc.nat(40),
    insert: fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom("\t", "\n", "{", "}", "*a", "&a ", "? ", "- ", ": ", "!!int ", "<<: "),
    ),
  });
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (edits) => {
      let text = demo;
      for (const { at, remove, insert } of edits) text = text.slice(0, at) + insert + text.slice(at + remove);
      for (const p of problemsOf(text))
        assert.ok(p.position.line! >= 1 && p.position.column! >= 1 && p.expected !== "");
    }),
    { numRuns: 200 },
  );
});

test("every field has a section in the reference page", async () => {
  const page = await readFile("docs/reference/ballast-yaml.md", "utf8");
  for (const [section, fields] of Object.entries(FIELDS)) {
    for (const field of fields) {
      const prefix = {
        "": "",
        service: "services.NAME.",
        sessions: "services.NAME.sessions.",
        capacity: "services.NAME.capacity.",
        objective: "services.NAME.objective.",
        target: "services.NAME.targets.NAME.",
      }[section];
      const full = `${prefix ?? `${section}.`}${field}`;
      assert.ok(page.includes(`\`${full}\``), `${full} is not documented`);
    }
  }
});
