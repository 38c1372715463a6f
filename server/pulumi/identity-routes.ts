/** Who am I, what can the server do, which stacks are there. Protocol reference 2.1, 2.4. */
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { check, sendJson } from "../http/json.ts";
import { openRoute, organizationRoute, type Route, signedInRoute } from "../http/route.ts";
import type { Principal } from "../rules/access.ts";
import { listStacks, STACKS_A_PAGE, visibleOrganizations } from "../services/stacks.ts";
import { capabilities } from "./capabilities.ts";
import { ContinuationQuery, StacksQuery } from "./schemas.ts";
import { stackSummaryOnWire } from "./wire.ts";

const MEMBERS_A_PAGE = 200;

async function userOnWire(ctx: Context, principal: Principal): Promise<Record<string, unknown>> {
  const { identity } = principal;
  const organizations = await visibleOrganizations(ctx, principal);
  return {
    id: identity.tokenId,
    githubLogin: identity.login,
    name: identity.name === "" ? identity.login : identity.name,
    email: identity.email,
    avatarUrl: "",
    organizations: organizations.map((name) => ({ githubLogin: name, name, avatarUrl: "" })),
    identities: [],
    siteAdmin: principal.isInstanceAdmin,
    // Without it the CLI says "personal"; with a name alone it would say "unknown".
    ...(identity.kind === "machine"
      ? { tokenInfo: { name: identity.tokenName, organization: identity.login } }
      : {}),
  };
}

/** The configured default where the caller belongs to it, else the first organization that they see. */
async function defaultOrganization(ctx: Context, principal: Principal): Promise<string> {
  const names = await visibleOrganizations(ctx, principal);
  return names.includes(ctx.config.defaultOrg) ? ctx.config.defaultOrg : (names[0] ?? "");
}

/** Continuation tokens are made of `[A-Za-z0-9_-]`: the CLI puts some of them into URLs unescaped. */
function encodeToken(key: string): string {
  return Buffer.from(key).toString("base64url");
}

function decodeToken(token: string | undefined): string | null {
  return token === undefined ? null : Buffer.from(token, "base64url").toString("utf8");
}

export const identityRoutes: readonly Route[] = [
  openRoute("get", "/api/capabilities", (ctx, _access, _req, res) =>
    sendJson(res, 200, capabilities(ctx.config)),
  ),

  signedInRoute("get", "/api/user", async (ctx, principal, _req, res) => {
    sendJson(res, 200, await userOnWire(ctx, principal));
  }),

  signedInRoute("get", "/api/user/organizations/default", async (ctx, principal, _req, res) => {
    sendJson(res, 200, { gitHubLogin: await defaultOrganization(ctx, principal) });
  }),

  signedInRoute("get", "/api/user/stacks", async (ctx, principal, req, res) => {
    const { continuationToken, ...query } = check(StacksQuery, req.query);
    const filter = Object.fromEntries(
      Object.entries(query).filter(([, value]) => value !== "" && value !== undefined),
    );
    const stacks = await listStacks(ctx, principal, filter, decodeToken(continuationToken));
    const last = stacks.length === STACKS_A_PAGE ? stacks.at(-1) : undefined;
    sendJson(res, 200, {
      stacks: stacks.map(stackSummaryOnWire),
      // "" would make the CLI ask for ever: the end is an absent member.
      ...(last === undefined
        ? {}
        : { continuationToken: encodeToken(`${last.organization}/${last.project}/${last.stack}`) }),
    });
  }),

  organizationRoute("get", "/api/orgs/:org/members", "organization:read", async (ctx, access, req, res) => {
    const { continuationToken } = check(ContinuationQuery, {
      continuationToken: req.query.continuationToken || undefined,
    });
    const page = { after: decodeToken(continuationToken), limit: MEMBERS_A_PAGE };
    const members = await ctx.db.listMembers(access.organization, page);
    if (members === null) throw new AppError("ORGANIZATION_NOT_FOUND");
    const last = members.length === MEMBERS_A_PAGE ? members.at(-1) : undefined;
    sendJson(res, 200, {
      members: members.map((member) => ({
        role: member.role,
        user: {
          name: member.name || member.login,
          githubLogin: member.login,
          avatarUrl: "",
          email: member.email,
        },
        created: new Date(member.createdMs).toISOString(),
        knownToPulumi: true,
        virtualAdmin: false,
      })),
      ...(last === undefined ? {} : { continuationToken: encodeToken(last.login) }),
    });
  }),

  organizationRoute("get", "/api/orgs/:org/templates", "organization:read", (_ctx, _access, _req, res) => {
    const none = { templates: {}, orgHasTemplates: false, hasAccessError: false, hasUpstreamError: false };
    sendJson(res, 200, none);
  }),

  // `pulumi new` and package look-ups fail without these two; there is no registry here.
  openRoute("get", "/api/registry/templates", (_ctx, _access, _req, res) =>
    sendJson(res, 200, { templates: [] }),
  ),
  openRoute("get", "/api/registry/packages", (_ctx, _access, _req, res) =>
    sendJson(res, 200, { packages: [] }),
  ),
];
