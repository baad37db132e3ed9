import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ConfigError } from "./config-error.ts";
import { parseConfig } from "./load-config.ts";

const demo = readFileSync("demo/ballast.yaml", "utf8");
const withSection = (text: string) => `${demo}\n${text}\n`;

function problems(text: string): string[] {
  try {
    parseConfig(withSection(text), "ballast.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ position, found, expected }) => `${position.path}: ${found}; ${expected}`);
  }
}

test("bounds, deadlines and freezes are read with their units; what is left out has its default", () => {
  const { changeControl } = parseConfig(
    withSection(`changeControl:
  standard: { maxStep: 15%, maxServices: 4 }
  normal: { expireAfter: 2h }
  zone: Europe/Berlin
  freezes:
    nights: { effect: allow, from: 2026-03-02T01:00, to: 2026-03-02T05:00, repeat: weekly, days: [tue, mon, tue], every: 2 }
    year-end: { services: [payments], from: 2026-12-20 18:00, to: 2027-01-04T06:00, zone: UTC, repeat: yearly, until: 2030-12-31 }`),
    "ballast.yaml",
  );
  assert.deepEqual(changeControl.standard, { maxStepPpm: 150_000, maxServices: 4, minSharePpm: 0 });
  assert.deepEqual(changeControl.normal, { maxPending: 16, expireAfterMs: 7_200_000 });
  assert.deepEqual(changeControl.emergency, { approveWithinMs: 86_400_000 });
  const [nights, yearEnd] = changeControl.freezes;
  assert.equal(nights!.effect, "allow");
  assert.deepEqual(nights!.schedule, {
    zone: "Europe/Berlin",
    start: "2026-03-02T01:00",
    end: "2026-03-02T05:00",
    repeat: { unit: "weekly", every: 2, weekdays: [2, 1], monthly: "day", untilDate: null },
  });
  assert.deepEqual(yearEnd!.services, ["payments"]);
  assert.equal(yearEnd!.schedule.zone, "UTC");
  assert.equal(yearEnd!.schedule.start, "2026-12-20T18:00");
  assert.equal(yearEnd!.schedule.repeat!.untilDate, "2030-12-31");
});

test("each mistake is reported at its field", () => {
  const freeze = (fields: string) =>
    `changeControl: { freezes: { f: { from: 2026-03-02T01:00, to: 2026-03-02T05:00, ${fields} } } }`;
  const cases: [string, RegExp][] = [
    ["changeControl: { zone: Mars/Olympus }", /^changeControl.zone: .*IANA/],
    ["changeControl: { standard: { maxServices: 0 } }", /^changeControl.standard.maxServices: .*1 to 1024/],
    ["changeControl: { standard: { maxStep: 0% } }", /^changeControl.standard.maxStep/],
    ["changeControl: { standard: { maxStep: 0.5% } }", /^changeControl.standard.maxStep: .*hysteresis/],
    ["changeControl: { normal: { expireAfter: 5s } }", /^changeControl.normal.expireAfter: .*1m to 31d/],
    ["changeControl: { frezes: {} }", /`freezes`\?/],
    ["changeControl: { freezes: { f: { to: 2026-03-02T05:00 } } }", /^changeControl.freezes.f.from: no field/],
    [
      "changeControl: { freezes: { f: { from: 2026-03-02T05:00, to: 2026-03-02T05:00 } } }",
      /^changeControl.freezes.f.to: .*after from/,
    ],
    [
      "changeControl: { freezes: { f: { from: 2026-03-02T05:00Z, to: 2026-03-03T05:00 } } }",
      /f.from: .*without a zone/,
    ],
    ["changeControl: { freezes: { f: { from: 2026-02-30T05:00, to: 2026-03-03T05:00 } } }", /f.from/],
    [freeze("services: [paymnts]"), /f.services\[0\]: "paymnts"; a service of this file/],
    [freeze("repeat: hourly"), /f.repeat: "hourly"/],
    [freeze("every: 2"), /f.every: `every` without repeat/],
    [freeze("repeat: daily, days: [mon]"), /f.days: .*repeat: daily.*weekly/],
    [freeze("repeat: weekly, days: [monday]"), /f.days\[0\]: .*mon, tue/],
    [freeze("repeat: monthly, on: 31"), /f.on: "31"; day or weekday/],
    ["access: { tokens: { anna: { roles: [boss], sha256: x } } }", /^access.tokens.anna.roles\[0\]: "boss"/],
    ["access: { tokens: { anna: { roles: [], sha256: x } } }", /^access.tokens.anna.sha256: .*64 lower-case/],
    ["access: { identities: { anna: { roles: [viewer], san: 'spiffe://' } } }", /^access.identities.anna.san/],
  ];
  for (const [text, expected] of cases) {
    const found = problems(text);
    assert.ok(
      found.some((one) => expected.test(one)),
      `${text}\n${found.join("\n") || "accepted"}`,
    );
  }
});

test("the API may leave loopback with TLS, and only then", () => {
  const server = (fields: string) => demo.replace("api: 127.0.0.1:18001", fields);
  const read = (text: string) => parseConfig(text, "ballast.yaml").server;
  assert.throws(() => read(server("api: 0.0.0.0:18001")), /would need TLS/);
  const { api, apiTls } = read(server("api: 0.0.0.0:18001\n  apiTls: { cert: c.pem, key: k.pem }"));
  assert.deepEqual([api.host, apiTls], ["0.0.0.0", { cert: "c.pem", key: "k.pem", clientCa: null }]);
});

test("which certificate speaks for which node can be said by SPIFFE id or DNS name, and needs a CA for clients", () => {
  const server = (fields: string) =>
    demo.replace("api: 127.0.0.1:18001", `api: 127.0.0.1:18001\n  xdsTls: { cert: c.pem, key: k.pem, ${fields} }`);
  const read = (fields: string) => parseConfig(server(fields), "ballast.yaml").server.xdsTls?.identities;
  assert.equal(read("clientCa: ca.pem"), null);
  const dns = "DNS:{node}.{fleet}.edge.example.org";
  assert.deepEqual(read(`clientCa: ca.pem, identities: ['${dns}']`), [dns]);
  for (const [fields, expected] of [
    [`identities: ['${dns}']`, /identities without clientCa/],
    ["clientCa: ca.pem, identities: []", /no identity/],
    ["clientCa: ca.pem, identities: ['{node}.example.org']", /expected a pattern URI/],
    ["clientCa: ca.pem, identities: ['DNS:{node}.{node}.example.org']", /expected a pattern URI/],
  ] as const) {
    assert.throws(() => read(fields), expected, fields);
  }
});
