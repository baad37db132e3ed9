import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfig } from "./load-config.ts";

const base = `version: 1
fleet: f
estate: { servicenow: export }
services:
  pay: { ci: Pay, targets: { pay-a: { ci: app-a, base: 100% } } }
`;

describe("section forecast", () => {
  test("may be left out, and each field has its default", () => {
    const defaults = {
      drift: "warn",
      timeoutMs: 2_000,
      served: null,
      holidays: null,
      signals: null,
      signalsMaxAgeMs: null,
      accessLogs: [],
      timeZone: null,
      promotion: { minWindows: 24, margin: 0.02, minChanges: 200 },
      outcomesMs: 300_000,
    };
    assert.deepEqual(parseConfig(base, "b.yaml").forecast, defaults);
    assert.deepEqual(parseConfig(`${base}forecast: { served: /var/lib/ballast/served }\n`, "b.yaml").forecast, {
      ...defaults,
      served: "/var/lib/ballast/served",
    });
  });

  test("names what feature groups are made of", () => {
    const { forecast } = parseConfig(
      `${base}forecast: { holidays: h.csv, signals: s.csv, signalsMaxAge: 36h, accessLog: [/var/log/a.log, pay=b.log], timeZone: Europe/Berlin }\n`,
      "b.yaml",
    );
    assert.deepEqual([forecast.holidays, forecast.signals, forecast.timeZone], ["h.csv", "s.csv", "Europe/Berlin"]);
    assert.equal(forecast.signalsMaxAgeMs, 36 * 3_600_000);
    assert.deepEqual(forecast.accessLogs, [
      { file: "/var/log/a.log", service: null },
      { file: "b.log", service: "pay" },
    ]);
  });

  test("is refused with its position where a value or a name is wrong", () => {
    assert.throws(
      () => parseConfig(`${base}forecast: { drift: maybe }\n`, "b.yaml"),
      /b\.yaml:6.*off, warn or fallback/s,
    );
    assert.throws(() => parseConfig(`${base}forecast: { timeZone: Mars }\n`, "b.yaml"), /b\.yaml:6.*Europe\/Berlin/s);
    assert.throws(() => parseConfig(`${base}forecast: { accessLog: x }\n`, "b.yaml"), /b\.yaml:6.*a list/s);
    assert.throws(() => parseConfig(`${base}forecast: { signalsMaxAge: 1h }\n`, "b.yaml"), /b\.yaml:6.*`signals`/s);
    assert.throws(() => parseConfig(`${base}forecast: { served: [] }\n`, "b.yaml"), /b\.yaml:6.*a path/s);
    assert.throws(() => parseConfig(`${base}forecast: { serve: x }\n`, "b.yaml"), /b\.yaml:6.*served/s);
  });
});
