import { z } from "zod";
import { ErrorAnswer } from "./api-schemas.ts";
import type { ApiRoute } from "./api-server.ts";

/** The OpenAPI 3.1 document of the routes. Made of the same table that serves them; docs/reference/openapi.json is its text. */
export function openApiDocument(routes: readonly ApiRoute[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const params: object[] = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema:
        name === "epoch"
          ? { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER }
          : { type: "string", minLength: 1 },
    }));
    for (const [name, { schema, description }] of Object.entries(route.query ?? {}))
      params.push({ name, in: "query", required: false, description, schema: toSchema(schema, "input") });
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = {
      operationId: operationId(route),
      summary: route.summary,
      ...(params.length === 0 ? {} : { parameters: params }),
      ...(route.role === null ? { security: [] } : { "x-ballast-role": route.role }),
      ...(route.body === null
        ? {}
        : {
            requestBody: { required: true, content: { "application/json": { schema: toSchema(route.body, "input") } } },
          }),
      responses: {
        "200": {
          description: "done",
          content:
            route.answer === null
              ? { "text/plain": { schema: { type: "string" } } }
              : { "application/json": { schema: toSchema(route.answer, "output") } },
        },
        ...Object.fromEntries(
          Object.entries(route.otherAnswers ?? {}).map(([status, { schema, description }]) => [
            status,
            { description, content: { "application/json": { schema: toSchema(schema, "output") } } },
          ]),
        ),
        default: {
          description: "a code of docs/reference/errors.md",
          content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
        },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Ballast control server", version: "1", license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "http://127.0.0.1:18001" }],
    security: [{ bearer: [] }, { certificate: [] }, {}],
    paths,
    components: {
      schemas: { Error: toSchema(ErrorAnswer, "output") },
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        certificate: { type: "mutualTLS" },
      },
    },
  };
}

/** `POST /v1/changes/{epoch}/approve` → `postChangesApprove`. */
function operationId({ method, path }: ApiRoute): string {
  const words = path.split("/").filter((part) => part !== "" && part !== "v1" && !part.startsWith("{"));
  const camel = words.join("-").replace(/(^|[-.])([a-z])/g, (_all, _dash, letter: string) => letter.toUpperCase());
  const one = path.endsWith("}") ? "One" : "";
  return `${method.toLowerCase()}${camel}${one}`;
}

function toSchema(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _version, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
