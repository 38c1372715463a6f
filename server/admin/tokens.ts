import { z } from "zod";
import type { AccessToken } from "../../db-adapters/contract.ts";
import { createToken, type NewToken, revokeToken, type TokenOwner } from "../services/tokens.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, Id, isoTime, line, OwnerName, RoleField, Time } from "./fields.ts";
import { PageQuery, pageOf, readPage } from "./page.ts";

/** Ten years: what is meant to last longer has no end at all. */
const EXPIRES_IN_SECONDS_MAX = 315_360_000;

const TokenView = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    kind: z.enum(["person", "machine"]),
    user: z.string().nullable().meta({ description: "A person's login; null for a machine" }),
    organization: z.string().nullable().meta({ description: "A machine's organization; null for a person" }),
    role: RoleField.nullable().meta({ description: "A machine's role there; null for a person" }),
    stackId: z
      .string()
      .nullable()
      .meta({ description: "The one stack whose artifacts it is for; null: no limit" }),
    createdAt: Time,
    createdBy: z.string(),
    expiresAt: Time.nullable(),
    lastUsedAt: Time.nullable().meta({ description: "Up to a few minutes late" }),
    revokedAt: Time.nullable(),
  })
  .meta({ id: "Token" });

const CreatedTokenView = TokenView.extend({
  token: z.string().meta({ description: "The credential. It is shown here and never again" }),
}).meta({ id: "CreatedToken" });

const NewTokenBody = z
  .strictObject({
    name: line(1, 100),
    user: OwnerName.optional(),
    organization: OwnerName.optional(),
    role: RoleField.optional(),
    stack: z
      .string()
      .regex(/^[^/]{1,100}\/[^/]{1,100}$/, { error: "project/stack" })
      .optional()
      .meta({ description: "`project/stack`: a machine's token for this stack's artifacts alone" }),
    expiresInSeconds: z.int().min(1).max(EXPIRES_IN_SECONDS_MAX).optional(),
  })
  .transform((body, check): NewToken => {
    const owner = ownerOf(body);
    if (owner !== null) return { name: body.name, owner, expiresInSeconds: body.expiresInSeconds ?? null };
    check.addIssue("give either user (a person's token), or organization and role (a machine's)");
    return z.NEVER;
  })
  .meta({
    id: "NewToken",
    description: "A person's token has a `user`; a machine's has an `organization` and a `role` there.",
    oneOf: [
      {
        required: ["name", "user"],
        not: { anyOf: [{ required: ["organization"] }, { required: ["role"] }, { required: ["stack"] }] },
      },
      { required: ["name", "organization", "role"], not: { required: ["user"] } },
    ],
  });

/** Null when the body names neither kind of owner, or parts of both. */
function ownerOf(body: {
  readonly user?: string | undefined;
  readonly organization?: string | undefined;
  readonly role?: z.output<typeof RoleField> | undefined;
  readonly stack?: string | undefined;
}): TokenOwner | null {
  const { user, organization, role } = body;
  if (user !== undefined) {
    return organization === undefined && role === undefined && body.stack === undefined
      ? { kind: "person", login: user }
      : null;
  }
  if (organization === undefined || role === undefined) return null;
  const [project = "", stack = ""] = body.stack?.split("/") ?? [];
  const limit = body.stack === undefined ? {} : { stack: { project, stack } };
  return { kind: "machine", organization, role, ...limit };
}

function viewOf(token: AccessToken): z.output<typeof TokenView> {
  return {
    id: token.id,
    name: token.name,
    kind: token.kind,
    user: token.login,
    organization: token.organization,
    role: token.role,
    stackId: token.stackId,
    createdAt: isoTime(token.createdMs),
    createdBy: token.createdBy,
    expiresAt: isoTime(token.expiresMs),
    lastUsedAt: isoTime(token.lastUsedMs),
    revokedAt: isoTime(token.revokedMs),
  };
}

const common = { tag: "tokens", path: `${ADMIN_PATH}/tokens` } as const;

export const tokenEndpoints: readonly Endpoint[] = [
  adminEndpoint({
    ...common,
    operationId: "listTokens",
    method: "get",
    summary: "Tokens, by id; ended ones stay in the list until the sweep removes them",
    query: PageQuery.extend({
      user: OwnerName.optional().meta({ description: "Only this person's" }),
      organization: OwnerName.optional().meta({ description: "Only this organization's machine tokens" }),
    }),
    status: 200,
    response: pageOf("TokenPage", TokenView),
    handle: (ctx, _access, { query }) => {
      const { user, organization } = query;
      const filter = {
        ...(user === undefined ? {} : { login: user }),
        ...(organization === undefined ? {} : { organization }),
      };
      return readPage(
        query,
        (page) => ctx.db.listTokens(filter, page),
        (it) => it.id,
        viewOf,
      );
    },
  }),
  adminEndpoint({
    ...common,
    operationId: "createToken",
    method: "post",
    summary: "Create a person's or a machine's token; the answer is the only place that ever shows it",
    body: NewTokenBody,
    status: 201,
    response: CreatedTokenView,
    errors: ["USER_NOT_FOUND", "ORGANIZATION_NOT_FOUND", "STACK_NOT_FOUND"],
    handle: async (ctx, access, { body }) => {
      const { secret, token } = await createToken(ctx, access, body);
      return { ...viewOf(token), token: secret };
    },
  }),
  adminEndpoint({
    tag: common.tag,
    path: `${common.path}/:id`,
    operationId: "revokeToken",
    method: "delete",
    summary: "Revoke a token at once; revoking it again succeeds",
    params: z.strictObject({ id: Id }),
    status: 204,
    response: null,
    errors: ["TOKEN_NOT_FOUND"],
    handle: async (ctx, access, { params }) => {
      await revokeToken(ctx, access, params.id);
      return null;
    },
  }),
];
