import { z } from "zod";
import type { User } from "../../db-adapters/contract.ts";
import { createUser, deleteUser, getUser, updateUser } from "../services/people.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, line, OwnerName, Time } from "./fields.ts";
import { PageQuery, pageOf, readPage } from "./page.ts";

const UserView = z
  .strictObject({
    id: z.string(),
    login: z.string(),
    name: z.string(),
    email: z.string(),
    createdAt: Time,
  })
  .meta({ id: "User" });

const Name = line(1, 100);
const Email = z.union([z.email().max(254), z.literal("")], { error: "an e-mail address, or empty" });

const NewUser = z
  .strictObject({
    login: OwnerName,
    name: Name.optional().meta({ description: "The login when not given" }),
    email: Email.default(""),
  })
  .meta({ id: "NewUser" });

const UserChanges = z
  .strictObject({ name: Name.optional(), email: Email.optional() })
  .refine((it) => it.name !== undefined || it.email !== undefined, { error: "give name, email or both" })
  .meta({ id: "UserChanges", minProperties: 1 });

const common = { tag: "users", path: `${ADMIN_PATH}/users` } as const;
const one = {
  tag: common.tag,
  path: `${common.path}/:login`,
  params: z.strictObject({ login: OwnerName }),
} as const;

function viewOf({ id, login, name, email, createdMs }: User): z.output<typeof UserView> {
  return { id, login, name, email, createdAt: isoTime(createdMs) };
}

export const userEndpoints: readonly Endpoint[] = [
  adminEndpoint({
    ...common,
    operationId: "listUsers",
    method: "get",
    summary: "All users, by login; the built-in administrator is none of them",
    query: PageQuery,
    status: 200,
    response: pageOf("UserPage", UserView),
    handle: (ctx, _access, { query }) =>
      readPage(
        query,
        (page) => ctx.db.listUsers(page),
        (it) => it.login,
        viewOf,
      ),
  }),
  adminEndpoint({
    ...common,
    operationId: "createUser",
    method: "post",
    summary: "Create a user",
    body: NewUser,
    status: 201,
    response: UserView,
    errors: ["USER_EXISTS"],
    handle: async (ctx, access, { body }) =>
      viewOf(await createUser(ctx, access, { ...body, name: body.name ?? body.login })),
  }),
  adminEndpoint({
    ...one,
    operationId: "getUser",
    method: "get",
    summary: "One user",
    status: 200,
    response: UserView,
    errors: ["USER_NOT_FOUND"],
    handle: async (ctx, _access, { params }) => viewOf(await getUser(ctx, params.login)),
  }),
  adminEndpoint({
    ...one,
    operationId: "updateUser",
    method: "patch",
    summary: "Change a user's name or e-mail address",
    body: UserChanges,
    status: 200,
    response: UserView,
    errors: ["USER_NOT_FOUND"],
    handle: async (ctx, access, { params, body: { name, email } }) => {
      const changes = { ...(name === undefined ? {} : { name }), ...(email === undefined ? {} : { email }) };
      return viewOf(await updateUser(ctx, access, params.login, changes));
    },
  }),
  adminEndpoint({
    ...one,
    operationId: "deleteUser",
    method: "delete",
    summary: "Delete a user, with their memberships and tokens",
    status: 204,
    response: null,
    errors: ["USER_NOT_FOUND"],
    handle: async (ctx, access, { params }) => {
      await deleteUser(ctx, access, params.login);
      return null;
    },
  }),
];
