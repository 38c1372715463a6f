/**
 * Who is asking, and what they may do: the one place where requests are authorised. A value of one of these
 * types comes only from here (and, for a person, from `authenticate` in server/http/access.ts); services take
 * nothing less as proof.
 */
import type { Identity, UpdateRef } from "../../db-adapters/contract.ts";
import { AppError } from "../errors.ts";
import { isAllowed, type Permission } from "./permissions.ts";

/** The login behind the admin token. */
export const ADMIN_LOGIN = "admin";

/** Somebody with a valid API token. */
export interface Principal {
  readonly identity: Identity;
  /** Holds the admin token: may do everything everywhere. */
  readonly isInstanceAdmin: boolean;
  readonly sourceIp: string;
}

/** Proof that `principal` has `permission` in `organization`. */
export interface OrganizationAccess {
  readonly principal: Principal;
  readonly organization: string;
  readonly permission: Permission;
}

/** Proof of the admin token. */
export interface AdminAccess {
  readonly principal: Principal;
  readonly isInstanceAdmin: true;
}

/**
 * A lease token with the update it was presented for. Whether it is that update's is decided by the database
 * inside the step that writes, so that nothing can come in between.
 */
export interface LeaseClaim {
  readonly ref: UpdateRef;
  readonly tokenHash: string;
}

export function can(principal: Principal, organization: string, permission: Permission): boolean {
  if (principal.isInstanceAdmin) return true;
  if (principal.identity.stackId !== null && !permission.startsWith("artifact:")) return false;
  const membership = principal.identity.memberships.find((it) => it.organization === organization);
  return membership !== undefined && isAllowed(membership.role, permission);
}

/** @throws AppError ORGANIZATION_NOT_FOUND for outsiders, who learn nothing; FORBIDDEN for members */
export function authorize(
  principal: Principal,
  organization: string,
  permission: Permission,
): OrganizationAccess {
  const isMember =
    principal.isInstanceAdmin ||
    principal.identity.memberships.some((it) => it.organization === organization);
  if (!isMember) throw new AppError("ORGANIZATION_NOT_FOUND", { organization });
  if (!can(principal, organization, permission)) {
    throw new AppError("FORBIDDEN", { organization, permission }, { detail: `it needs ${permission}` });
  }
  return { principal, organization, permission };
}

/**
 * The one stack whose artifacts this access is for; null for all of the organization's. Whatever reads or writes
 * artifacts has to ask.
 */
export function stackLimitOf(access: OrganizationAccess): string | null {
  return access.principal.identity.stackId;
}

/** @throws AppError FORBIDDEN when the role behind an access doesn't stretch to `permission` */
export function requireMore(access: OrganizationAccess, permission: Permission): OrganizationAccess {
  return authorize(access.principal, access.organization, permission);
}

/** @throws AppError ADMIN_REQUIRED */
export function authorizeAdmin(principal: Principal): AdminAccess {
  if (!principal.isInstanceAdmin) throw new AppError("ADMIN_REQUIRED");
  return { principal, isInstanceAdmin: true };
}
