import { z } from "zod";
import type { Organization } from "../../db-adapters/contract.ts";
import { createOrganization, deleteOrganization, getOrganization } from "../services/people.ts";
import { adminEndpoint, type Endpoint } from "./endpoint.ts";
import { ADMIN_PATH, isoTime, OwnerName, Time } from "./fields.ts";
import { PageQuery, pageOf, readPage } from "./page.ts";

const OrganizationView = z
  .strictObject({ id: z.string(), name: z.string(), createdAt: Time })
  .meta({ id: "Organization" });

const NewOrganization = z.strictObject({ name: OwnerName }).meta({ id: "NewOrganization" });

const OrganizationParams = z.strictObject({ organization: OwnerName });

const common = { tag: "organizations", path: `${ADMIN_PATH}/organizations` } as const;
const one = { tag: common.tag, path: `${common.path}/:organization`, params: OrganizationParams } as const;

function viewOf({ id, name, createdMs }: Organization): z.output<typeof OrganizationView> {
  return { id, name, createdAt: isoTime(createdMs) };
}

export const organizationEndpoints: readonly Endpoint[] = [
  adminEndpoint({
    ...common,
    operationId: "listOrganizations",
    method: "get",
    summary: "All organizations, by name",
    query: PageQuery,
    status: 200,
    response: pageOf("OrganizationPage", OrganizationView),
    handle: (ctx, _access, { query }) =>
      readPage(
        query,
        (page) => ctx.db.listOrganizations(page),
        (it) => it.name,
        viewOf,
      ),
  }),
  adminEndpoint({
    ...common,
    operationId: "createOrganization",
    method: "post",
    summary: "Create an organization",
    body: NewOrganization,
    status: 201,
    response: OrganizationView,
    errors: ["ORGANIZATION_EXISTS"],
    handle: async (ctx, access, { body }) => viewOf(await createOrganization(ctx, access, body.name)),
  }),
  adminEndpoint({
    ...one,
    operationId: "getOrganization",
    method: "get",
    summary: "One organization",
    status: 200,
    response: OrganizationView,
    errors: ["ORGANIZATION_NOT_FOUND"],
    handle: async (ctx, _access, { params }) => viewOf(await getOrganization(ctx, params.organization)),
  }),
  adminEndpoint({
    ...one,
    operationId: "deleteOrganization",
    method: "delete",
    summary: "Delete an organization without stacks, with its memberships and machine tokens",
    status: 204,
    response: null,
    errors: ["ORGANIZATION_NOT_FOUND", "ORGANIZATION_HAS_STACKS"],
    handle: async (ctx, access, { params }) => {
      await deleteOrganization(ctx, access, params.organization);
      return null;
    },
  }),
];
