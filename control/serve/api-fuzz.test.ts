/**
 * The HTTP API against its own OpenAPI document: whatever is sent, documented or not, the answer is one that the document has.
 * The stand holds every good answer against its schema and turns one that does not fit into INTERNAL.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { ERROR_CODES } from "../../common/error-codes.ts";
import { auditVerify } from "../checkpoint/audit.ts";
import { Stand } from "./serve.fixture.ts";

/** BALLAST_FUZZ_RUNS=500 sends that many bodies to each operation. */
const RUNS = Number(process.env.BALLAST_FUZZ_RUNS ?? 25);
const MAX_DEPTH = 6;

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  enum?: unknown[];
  anyOf?: Schema[];
  format?: string;
  minItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

interface Operation {
  operationId: string;
  parameters?: { name: string; in: "path" | "query"; schema: Schema }[];
  requestBody?: { content: { "application/json": { schema: Schema } } };
  responses: Record<string, unknown>;
}

const document = JSON.parse(await readFile("docs/reference/openapi.json", "utf8")) as {
  paths: Record<string, Record<"get" | "post", Operation>>;
};
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

/** Words that mean something here, so that not every request dies at the first look-up. */
const KNOWN = ["payments", "ledger", "payments-site-a", "payments-site-b", "ann", "bob", "operator:x", "policy:x"];

/** Values of a schema. Throws for a keyword that it does not know, so that the document cannot outgrow the test. */
function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(valuesOf));
  switch (schema.type) {
    case "object": {
      if (typeof schema.additionalProperties === "object") {
        return fc.dictionary(fc.constantFrom(...KNOWN), valuesOf(schema.additionalProperties), { maxKeys: 3 });
      }
      const { properties = {}, required = [] } = schema;
      const fields = Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, valuesOf(field)]));
      return fc.record(fields, { requiredKeys: required });
    }
    case "array":
      return fc.array(valuesOf(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 3 });
    case "string": {
      if (schema.format === "date-time") return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
      const { minLength = 0, maxLength = 200 } = schema;
      return fc.oneof(
        fc.constantFrom(...KNOWN),
        fc.string({ minLength, maxLength: Math.min(maxLength, 300), unit: "binary" }),
      );
    }
    case "integer": {
      const { minimum = -10, maximum = Number.MAX_SAFE_INTEGER } = schema;
      const small = fc.integer({ min: minimum, max: Math.min(maximum, 100) });
      return fc.oneof(small, fc.bigInt({ min: BigInt(minimum), max: BigInt(maximum) }).map(Number));
    }
    case "number":
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true });
    case "boolean":
      return fc.boolean();
    default:
      throw new Error(`the test knows no schema like ${JSON.stringify(schema)}`);
  }
}

/** A body that is nearly right: one place of it replaced, left out or added. */
function nearly(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const odd = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(null, -1, 1e21, 0.5, "", " ", "x".repeat(5_000), [], {}, "\u0000", "2026-13-99T99:99:99Z"),
  );
  return fc.tuple(values, odd, fc.nat(), fc.constantFrom("replace", "drop", "add")).map(([value, put, at, how]) => {
    const copy = structuredClone(value);
    const places: { parent: Record<string, unknown>; key: string }[] = [];
    const walk = (node: unknown, depth: number): void => {
      if (typeof node !== "object" || node === null || depth > MAX_DEPTH) return;
      const parent = node as Record<string, unknown>;
      for (const key of Object.keys(parent)) {
        places.push({ parent, key });
        walk(parent[key], depth + 1);
      }
    };
    walk(copy, 0);
    const place = places[at % Math.max(places.length, 1)];
    if (place === undefined) return put;
    if (how === "drop" && !Array.isArray(place.parent)) delete place.parent[place.key];
    else if (how === "add") place.parent[`${place.key}-x`] = put;
    else place.parent[place.key] = put;
    return copy;
  });
}

describe("the API against its document", () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start();
    await stand.until("first weights", (view) => view.epoch > 0);
  });
  after(() => stand?.stop());

  async function send(method: string, path: string, body: Uint8Array | string | undefined): Promise<void> {
    const signal = AbortSignal.timeout(30_000);
    const options = body === undefined ? {} : { body: body as string, headers: { "content-type": "application/json" } };
    const response = await fetch(`http://${stand.address}${path}`, { method, signal, ...options });
    const text = await response.text();
    const what = `${method} ${path} ${String(body).slice(0, 500)} → ${response.status} ${text.slice(0, 500)}`;
    if (response.status === 200) return;
    const error = JSON.parse(text) as { code: string; message: string; hint: string };
    assert.deepEqual(Object.keys(error).sort(), ["code", "hint", "message"], what);
    assert.ok(Object.hasOwn(ERROR_CODES, error.code), what);
    assert.notEqual(error.code, "INTERNAL", what);
    const { http = 409 } = ERROR_CODES[error.code as keyof typeof ERROR_CODES] as { http?: number };
    assert.equal(response.status, http, what);
    assert.ok(error.message.startsWith(`${error.code}: `) && error.hint.length > 10, what);
  }

  for (const { path, method, operation } of operations) {
    const { parameters = [], requestBody } = operation;
    const schema = requestBody?.content["application/json"].schema;
    if (schema === undefined && parameters.length === 0) continue;
    test(`${method} ${path} answers as documented, whatever it is asked`, async () => {
      const valid = schema === undefined ? fc.constant(undefined) : valuesOf(schema);
      const bodies = schema === undefined ? valid : fc.oneof(valid, nearly(valid));
      const texts = fc.oneof(
        ...parameters.map((parameter) => valuesOf(parameter.schema).map(String)),
        fc.string({ minLength: 1, maxLength: 40 }),
        fc.constantFrom("0", "-1", "1e3", "%00", "..", "9".repeat(30)),
      );
      const run = fc.asyncProperty(bodies, fc.array(texts, { minLength: 2, maxLength: 2 }), async (body, words) => {
        let i = 0;
        const query = new URLSearchParams();
        let target = path;
        for (const { name, in: where } of parameters) {
          const word = words[i++ % words.length]!;
          if (where === "query") query.set(name, word.toWellFormed());
          else target = target.replace(`{${name}}`, encodeURIComponent(word.toWellFormed()));
        }
        await send(
          method,
          query.size === 0 ? target : `${target}?${query}`,
          body === undefined ? undefined : JSON.stringify(body),
        );
      });
      await fc.assert(run, { numRuns: RUNS });
    });
  }

  test("bodies that are no JSON, or JSON of no use, are refused by each operation that takes one", async () => {
    const bodies = [
      "{",
      "[]",
      "null",
      '"text"',
      "[".repeat(50_000),
      '{"__proto__":{"author":"ann"}}',
      '{"constructor":{"prototype":{}}}',
      new Uint8Array([0xff, 0xfe, 0x00]),
      `{"author":"ann","reason":"${"\\u0000".repeat(10)}"}`,
    ];
    for (const { path, method, operation } of operations) {
      if (operation.requestBody === undefined) continue;
      const target = path.replace("{epoch}", "1").replace("{id}", "x");
      for (const body of bodies) await send(method, target, body);
    }
  });

  test("after all of it the server serves, and its log verifies", async () => {
    const ready = await stand.call("GET", "/readyz");
    assert.equal(ready.status, 200, JSON.stringify(ready.body));
    const page = await stand.call("GET", "/v1/history?limit=1000");
    assert.equal(page.status, 200);
    assert.deepEqual(auditVerify(stand.storePath).faults, []);
  });
});
