import { z } from "zod";
import type { Member } from "../../db-adapters/contract.ts";
import { AppError } from "../errors.ts";
import { removeMembership, setMembership } from "../services/people.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, OwnerName, RoleField, Time } from "./fields.ts";
import { PageQuery, pageOf, readPage } from "./page.ts";

const MemberView = z
  .strictObject({
    login: z.string(),
    name: z.string(),
    email: z.string(),
    role: RoleField,
    createdAt: Time.meta({ description: "Since when" }),
  })
  .meta({ id: "Member" });

const Membership = z
  .strictObject({ organization: z.string(), login: z.string(), role: RoleField })
  .meta({ id: "Membership" });

const NewRole = z.strictObject({ role: RoleField }).meta({ id: "NewRole" });

const common = { tag: "members", path: `${ADMIN_PATH}/organizations/:organization/members` } as const;
const one = {
  tag: common.tag,
  path: `${common.path}/:login`,
  params: z.strictObject({ organization: OwnerName, login: OwnerName }),
} as const;

function viewOf({ login, name, email, role, createdMs }: Member): z.output<typeof MemberView> {
  return { login, name, email, role, createdAt: isoTime(createdMs) };
}

export const memberEndpoints: readonly Endpoint[] = [
  adminEndpoint({
    ...common,
    operationId: "listMembers",
    method: "get",
    summary: "The members of an organization, by login",
    params: z.strictObject({ organization: OwnerName }),
    query: PageQuery,
    status: 200,
    response: pageOf("MemberPage", MemberView),
    errors: ["ORGANIZATION_NOT_FOUND"],
    handle: (ctx, _access, { params: { organization }, query }) =>
      readPage(
        query,
        async (page) => {
          const members = await ctx.db.listMembers(organization, page);
          if (members === null) throw new AppError("ORGANIZATION_NOT_FOUND", { organization });
          return members;
        },
        (it) => it.login,
        viewOf,
      ),
  }),
  adminEndpoint({
    ...one,
    operationId: "setMember",
    method: "put",
    summary: "Add a user to an organization, or change their role there",
    body: NewRole,
    status: 200,
    response: Membership,
    errors: ["ORGANIZATION_NOT_FOUND", "USER_NOT_FOUND"],
    handle: async (ctx, access, { params, body }) => {
      const membership = { ...params, role: body.role };
      await setMembership(ctx, access, membership);
      return membership;
    },
  }),
  adminEndpoint({
    ...one,
    operationId: "removeMember",
    method: "delete",
    summary: "Take a user out of an organization",
    status: 204,
    response: null,
    errors: ["MEMBER_NOT_FOUND"],
    handle: async (ctx, access, { params }) => {
      await removeMembership(ctx, access, params);
      return null;
    },
  }),
];
