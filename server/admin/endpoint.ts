/**
 * An endpoint is declared once, as a value: its schemas, its words, its errors and its handler. The route that
 * checks requests and the OpenAPI document that describes them are made from the same value, so neither can
 * say what the other doesn't do. Other JSON APIs may join the document: an endpoint is an operation and a
 * route, however its route is authorised.
 */
import type { Request, Response } from "express";
import { z } from "zod";
import type { Context } from "../context.ts";
import type { ErrorCode } from "../errors.ts";
import { check, readJson, sendEmpty, sendJson } from "../http/json.ts";
import {
  adminRoute,
  type Method,
  openRoute,
  organizationRoute,
  type Requirement,
  type Route,
} from "../http/route.ts";
import type { AdminAccess, OrganizationAccess } from "../rules/access.ts";
import type { Permission } from "../rules/permissions.ts";

/** All that the API document says about an endpoint. */
export interface Operation {
  /** Unique in the document; client generators make it a function's name. */
  readonly operationId: string;
  readonly method: Method;
  /** Express path from the root, `:name` for parameters. */
  readonly path: string;
  readonly tag: string;
  /** One sentence without a full stop. */
  readonly summary: string;
  readonly requirement: Requirement;
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  /** Null: the body isn't read. */
  readonly body: z.ZodType | null;
  /** Of a success; there is one. */
  readonly status: 200 | 201 | 204;
  /** Null for 204. */
  readonly response: z.ZodType | null;
  readonly errors: readonly ErrorCode[];
  /** What isn't JSON, in or out. */
  readonly media?: { readonly body?: readonly string[]; readonly response?: string };
}

export interface Endpoint {
  readonly operation: Operation;
  readonly route: Route;
}

/** Strict, so that a mistyped filter is refused instead of listing everything. */
const NOTHING = z.strictObject({});
type Nothing = typeof NOTHING;

type Output<S extends z.ZodType | null> = S extends z.ZodType ? z.output<S> : null;

/** What a handler is given: parsed, of the declared types. */
export interface Input<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType | null> {
  readonly params: z.output<P>;
  readonly query: z.output<Q>;
  readonly body: Output<B>;
}

interface Declared<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType | null,
  R extends z.ZodType | null,
  A,
> {
  readonly operationId: string;
  readonly method: Method;
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly status: R extends null ? 204 : 200 | 201;
  readonly response: R;
  /** Those of its own; what every endpoint of its kind may answer is added. */
  readonly errors?: readonly ErrorCode[];
  readonly handle: (ctx: Context, access: A, input: Input<P, Q, B>) => Promise<Output<R>>;
}

const ALWAYS: readonly ErrorCode[] = ["INVALID_REQUEST", "UNAVAILABLE", "INTERNAL"];
const SIGNED_IN: readonly ErrorCode[] = ["LOGIN_REQUIRED", "INVALID_TOKEN", "TOO_MANY_FAILURES"];
const WITH_BODY: readonly ErrorCode[] = ["MALFORMED_BODY", "BODY_TOO_LARGE", "UNSUPPORTED_ENCODING"];

function operationOf<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType | null,
  R extends z.ZodType | null,
  A,
>(declared: Declared<P, Q, B, R, A>, requirement: Requirement, errors: readonly ErrorCode[]): Operation {
  const { operationId, method, path, tag, summary, status, response } = declared;
  const body = declared.body ?? null;
  return {
    ...{ operationId, method, path, tag, summary, requirement, status, response, body },
    params: declared.params ?? NOTHING,
    query: declared.query ?? NOTHING,
    errors: [...ALWAYS, ...errors, ...(body === null ? [] : WITH_BODY), ...(declared.errors ?? [])],
  };
}

/** Checks the request, calls the handler, sends its answer. Cheap refusals come before the body is read. */
function answer<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType | null,
  R extends z.ZodType | null,
  A,
>(declared: Declared<P, Q, B, R, A>, operation: Operation) {
  return async (ctx: Context, access: A, req: Request, res: Response): Promise<void> => {
    const params = check(operation.params, req.params);
    const query = check(operation.query, req.query);
    const body = operation.body === null ? null : await readJson(req, operation.body, ctx.config);
    // What the declared schemas have let through is of their types; the widened Operation can't say so.
    const output = await declared.handle(ctx, access, { params, query, body } as Input<P, Q, B>);
    if (output === null) sendEmpty(res);
    else sendJson(res, operation.status, output);
  };
}

/** For the holder of the admin token alone. */
export function adminEndpoint<
  R extends z.ZodType | null,
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  B extends z.ZodType | null = null,
>(declared: Declared<P, Q, B, R, AdminAccess>): Endpoint {
  const operation = operationOf(declared, { kind: "admin" }, [...SIGNED_IN, "ADMIN_REQUIRED"]);
  return { operation, route: adminRoute(operation.method, operation.path, answer(declared, operation)) };
}

const INSIDE: readonly ErrorCode[] = ["INVALID_NAME", "ORGANIZATION_NOT_FOUND", "FORBIDDEN"];

/** For whoever has `permission` in the organization that the path's `:org` names. */
export function organizationEndpoint<
  R extends z.ZodType | null,
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  B extends z.ZodType | null = null,
>(permission: Permission, declared: Declared<P, Q, B, R, OrganizationAccess>): Endpoint {
  const operation = operationOf(declared, { kind: "organization", permission }, [...SIGNED_IN, ...INSIDE]);
  const { method, path } = operation;
  return { operation, route: organizationRoute(method, path, permission, answer(declared, operation)) };
}

/** The same for bytes in or out: `handle` sends the answer itself. */
export function organizationBytesEndpoint<P extends z.ZodObject, Q extends z.ZodObject>(
  permission: Permission,
  declared: Omit<Declared<P, Q, z.ZodType | null, z.ZodType | null, never>, "handle" | "status"> & {
    readonly status: Operation["status"];
    readonly media: NonNullable<Operation["media"]>;
    readonly handle: (
      call: { readonly ctx: Context; readonly access: OrganizationAccess; req: Request; res: Response },
      input: { readonly params: z.output<P>; readonly query: z.output<Q> },
    ) => Promise<void>;
  },
): Endpoint {
  const { handle, media, ...rest } = declared;
  const unused = { ...rest, handle: () => Promise.reject(new Error("bytes are sent by their handler")) };
  const errors = [...SIGNED_IN, ...INSIDE];
  const operation = { ...operationOf(unused, { kind: "organization", permission }, errors), media };
  const { method, path } = operation;
  const route = organizationRoute(method, path, permission, async (ctx, access, req, res) => {
    const params = check(operation.params, req.params) as z.output<P>;
    const query = check(operation.query, req.query) as z.output<Q>;
    await handle({ ctx, access, req, res }, { params, query });
  });
  return { operation, route };
}

/** For everybody: nothing secret may come out of it. */
export function openEndpoint<
  R extends z.ZodType | null,
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  B extends z.ZodType | null = null,
>(declared: Declared<P, Q, B, R, null>): Endpoint {
  const operation = operationOf(declared, { kind: "open" }, []);
  return { operation, route: openRoute(operation.method, operation.path, answer(declared, operation)) };
}
