/** Organizations, users and who belongs where. Only the holder of the admin token changes them. */
import type { Organization, Role, User } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import type { AdminAccess } from "../rules/access.ts";
import { ADMIN_LOGIN } from "../rules/access.ts";
import { isOwnerName } from "../rules/names.ts";
import { auditEvent } from "./audit.ts";

/** `isOwnerName` in words. */
export const OWNER_NAME_RULE = "3 to 40 letters, digits, - and _, the first and last a letter or digit";

function checkOwnerName(name: string): void {
  if (isOwnerName(name)) return;
  throw new AppError("INVALID_NAME", {}, { detail: OWNER_NAME_RULE });
}

/** @throws AppError INVALID_NAME | ORGANIZATION_EXISTS */
export async function createOrganization(
  ctx: Context,
  access: AdminAccess,
  name: string,
): Promise<Organization> {
  checkOwnerName(name);
  const id = ctx.newId();
  const nowMs = ctx.nowMs();
  const audit = auditEvent(ctx, access.principal, "organization.create", name, name);
  const outcome = await ctx.db.createOrganization({ id, name, nowMs, audit });
  if (outcome === "name_taken") throw new AppError("ORGANIZATION_EXISTS", { organization: name });
  return { id, name, createdMs: nowMs };
}

/** @throws AppError ORGANIZATION_NOT_FOUND */
export async function getOrganization(ctx: Context, name: string): Promise<Organization> {
  const organization = await ctx.db.findOrganization(name);
  if (organization === null) throw new AppError("ORGANIZATION_NOT_FOUND", { organization: name });
  return organization;
}

/**
 * Memberships and machine tokens go with it.
 * @throws AppError ORGANIZATION_NOT_FOUND | ORGANIZATION_HAS_STACKS
 */
export async function deleteOrganization(ctx: Context, access: AdminAccess, name: string): Promise<void> {
  const audit = auditEvent(ctx, access.principal, "organization.delete", name, name);
  const outcome = await ctx.db.deleteOrganization({ name, nowMs: ctx.nowMs(), audit });
  switch (outcome) {
    case "deleted":
      return;
    case "has_stacks":
      throw new AppError("ORGANIZATION_HAS_STACKS", { organization: name });
    case "absent":
      throw new AppError("ORGANIZATION_NOT_FOUND", { organization: name });
    default:
      outcome satisfies never;
  }
}

/**
 * The built-in administrator has a login and no row: a user of that name would pass for it.
 * @throws AppError INVALID_NAME | USER_EXISTS
 */
export async function createUser(
  ctx: Context,
  access: AdminAccess,
  input: { readonly login: string; readonly name: string; readonly email: string },
): Promise<User> {
  checkOwnerName(input.login);
  if (input.login === ADMIN_LOGIN) {
    throw new AppError("USER_EXISTS", {}, { detail: `${ADMIN_LOGIN} is built in` });
  }
  const user = { login: input.login, name: input.name, email: input.email };
  const id = ctx.newId();
  const nowMs = ctx.nowMs();
  const audit = auditEvent(ctx, access.principal, "user.create", null, user.login);
  const outcome = await ctx.db.createUser({ ...user, id, nowMs, audit });
  if (outcome === "login_taken") throw new AppError("USER_EXISTS", { login: user.login });
  return { ...user, id, createdMs: nowMs };
}

/** @throws AppError USER_NOT_FOUND */
export async function getUser(ctx: Context, login: string): Promise<User> {
  const user = await ctx.db.findUser(login);
  if (user === null) throw new AppError("USER_NOT_FOUND", { login });
  return user;
}

/**
 * Changes what is given and leaves the rest. The login stays for life: histories name it.
 * @throws AppError USER_NOT_FOUND
 */
export async function updateUser(
  ctx: Context,
  access: AdminAccess,
  login: string,
  changes: { readonly name?: string; readonly email?: string },
): Promise<User> {
  const audit = auditEvent(ctx, access.principal, "user.update", null, login);
  const outcome = await ctx.db.updateUser({ ...changes, login, audit });
  if (outcome === "absent") throw new AppError("USER_NOT_FOUND", { login });
  return getUser(ctx, login);
}

/**
 * Memberships and tokens go with the user: nothing signs in as them from here on.
 * @throws AppError USER_NOT_FOUND
 */
export async function deleteUser(ctx: Context, access: AdminAccess, login: string): Promise<void> {
  const audit = auditEvent(ctx, access.principal, "user.delete", null, login);
  const outcome = await ctx.db.deleteUser({ login, audit });
  if (outcome === "absent") throw new AppError("USER_NOT_FOUND", { login });
}

/**
 * Adds a member, or changes the role of one.
 * @throws AppError ORGANIZATION_NOT_FOUND | USER_NOT_FOUND
 */
export async function setMembership(
  ctx: Context,
  access: AdminAccess,
  input: { readonly organization: string; readonly login: string; readonly role: Role },
): Promise<void> {
  const { organization, login, role } = input;
  const audit = auditEvent(ctx, access.principal, "member.set", organization, `${login} (${role})`);
  const outcome = await ctx.db.setMembership({ organization, login, role, nowMs: ctx.nowMs(), audit });
  switch (outcome) {
    case "set":
      return;
    case "no_organization":
      throw new AppError("ORGANIZATION_NOT_FOUND", { organization });
    case "no_user":
      throw new AppError("USER_NOT_FOUND", { login });
    default:
      outcome satisfies never;
  }
}

/** @throws AppError MEMBER_NOT_FOUND */
export async function removeMembership(
  ctx: Context,
  access: AdminAccess,
  input: { readonly organization: string; readonly login: string },
): Promise<void> {
  const { organization, login } = input;
  const audit = auditEvent(ctx, access.principal, "member.remove", organization, login);
  const outcome = await ctx.db.removeMembership({ organization, login, audit });
  if (outcome === "absent") throw new AppError("MEMBER_NOT_FOUND", { organization, login });
}
