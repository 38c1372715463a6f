/** The OpenAPI 3.1 document of a list of endpoints, out of the schemas that their requests are checked with. */
import { z } from "zod";
import { ERRORS, type ErrorCode } from "../errors.ts";
import type { Requirement } from "../http/route.ts";
import type { Operation } from "./endpoint.ts";

type Json = Record<string, unknown>;

export interface OpenApiInfo {
  readonly title: string;
  /** Of the API, not of the server. */
  readonly version: string;
  readonly description: string;
}

const SCHEMAS = "#/components/schemas/";

/** Every error has this body (server/http/failures.ts). */
const ErrorView = z
  .strictObject({ code: z.int().meta({ description: "The HTTP status" }), message: z.string() })
  .meta({ id: "Error" });

/**
 * Schemas with an `id` become components, the rest stays inline.
 * @throws Error for two different schemas of one name: a fault of ours
 */
class Components {
  readonly schemas: Json = {};

  convert(schema: z.ZodType, io: "input" | "output"): Json {
    const {
      $schema: _,
      $defs,
      ...root
    } = withComponentRefs(
      z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => dropTimePattern(jsonSchema) }),
    );
    for (const [name, definition] of Object.entries(($defs ?? {}) as Json)) this.#add(name, definition);
    return root;
  }

  #add(name: string, definition: unknown): void {
    const known = this.schemas[name];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(definition)) {
      throw new Error(`two schemas of the API document are called ${name}`);
    }
    this.schemas[name] = definition;
  }
}

/** `format: date-time` says it all; zod's pattern of it is 300 characters long. */
function dropTimePattern(schema: { format?: string; pattern?: string }): void {
  if (schema.format === "date-time") delete schema.pattern;
}

/** zod keeps shared schemas in `$defs`, OpenAPI in its components. */
function withComponentRefs(schema: object): Json {
  const rewrite = (key: string, value: unknown) =>
    key === "$ref" && typeof value === "string" ? value.replace("#/$defs/", SCHEMAS) : value;
  return JSON.parse(JSON.stringify(schema, rewrite)) as Json;
}

/** `/tokens/:id` → `/tokens/{id}`. */
export function openApiPath(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}");
}

function parametersOf(components: Components, schema: z.ZodObject, place: "path" | "query"): Json[] {
  const { properties = {}, required = [] } = components.convert(schema, "input") as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

function contentOf(schema: Json): Json {
  return { "application/json": { schema } };
}

/** One answer for each status; its description has the words of every error with that status. */
function failuresOf(components: Components, codes: readonly ErrorCode[]): Json {
  const byStatus = new Map<number, string[]>();
  for (const code of new Set(codes)) {
    const { status, message } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), message]);
  }
  const schema = components.convert(ErrorView, "output");
  const answers = [...byStatus].map(([status, messages]) => [
    String(status),
    { description: messages.join(" · "), content: contentOf(schema) },
  ]);
  return Object.fromEntries(answers) as Json;
}

const BINARY = { type: "string", format: "binary" };

function successOf(components: Components, { status, response, media }: Operation): Json {
  if (media?.response !== undefined) {
    return { [status]: { description: "The bytes", content: { [media.response]: { schema: BINARY } } } };
  }
  if (response === null) return { [status]: { description: "Done" } };
  const description = status === 201 ? "Created" : "OK";
  return { [status]: { description, content: contentOf(components.convert(response, "output")) } };
}

function securityOf(requirement: Requirement): Json[] {
  return requirement.kind === "open" ? [] : [{ token: [] }];
}

function describe(components: Components, operation: Operation): Json {
  const { operationId, summary, tag, params, query, body, media } = operation;
  const parameters = [
    ...parametersOf(components, params, "path"),
    ...parametersOf(components, query, "query"),
  ];
  return {
    operationId,
    summary,
    tags: [tag],
    security: securityOf(operation.requirement),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === null ? {} : { requestBody: requestBodyOf(components, body) }),
    ...(media?.body === undefined ? {} : { requestBody: bytesOf(media.body) }),
    responses: { ...successOf(components, operation), ...failuresOf(components, operation.errors) },
  };
}

function bytesOf(types: readonly string[]): Json {
  const files = { type: "object", additionalProperties: BINARY };
  const content = types.map((type) => [type, { schema: type === "multipart/form-data" ? files : BINARY }]);
  return { required: true, content: Object.fromEntries(content) as Json };
}

function requestBodyOf(components: Components, body: z.ZodType): Json {
  // An absent body is read as `{}`.
  return { required: !body.safeParse({}).success, content: contentOf(components.convert(body, "input")) };
}

export function openApiDocument(info: OpenApiInfo, operations: readonly Operation[]): Json {
  const components = new Components();
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = openApiPath(operation.path);
    paths[path] = { ...paths[path], [operation.method]: describe(components, operation) };
  }
  const tags = [...new Set(operations.map((it) => it.tag))].map((name) => ({ name }));
  const token = { type: "http", scheme: "bearer", description: "`Authorization: Bearer <token>`" };
  return {
    openapi: "3.1.0",
    info,
    tags,
    paths,
    components: { schemas: components.schemas, securitySchemes: { token } },
  };
}
