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
    const defaults = { drift: "warn", timeoutMs: 2_000, served: null, promotion: { minWindows: 24, margin: 0.02 } };
    assert.deepEqual(parseConfig(base, "b.yaml").forecast, defaults);
    assert.deepEqual(parseConfig(`${base}forecast: { served: /var/lib/ballast/served }\n`, "b.yaml").forecast, {
      ...defaults,
      served: "/var/lib/ballast/served",
    });
  });

  test("is refused with its position where a value or a name is wrong", () => {
    assert.throws(
      () => parseConfig(`${base}forecast: { drift: maybe }\n`, "b.yaml"),
      /b\.yaml:6.*off, warn or fallback/s,
    );
    assert.throws(() => parseConfig(`${base}forecast: { served: [] }\n`, "b.yaml"), /b\.yaml:6.*a path/s);
    assert.throws(() => parseConfig(`${base}forecast: { serve: x }\n`, "b.yaml"), /b\.yaml:6.*served/s);
  });
});
