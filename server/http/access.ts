/**
 * Who is asking, and what they may do: the one place where requests are authorised. A handler gets a value
 * of one of these classes only from here, and services take nothing less.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import type { Identity, UpdateRef } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { isOwnerName, isProjectName, isStackName, isUpdateId } from "../rules/names.ts";
import { isAllowed, type Permission } from "../rules/permissions.ts";
import type { SignInGuard } from "./sign-in-guard.ts";

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

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

interface Credential {
  readonly scheme: "token" | "update-token";
  readonly token: string;
}

/** `token X` and `update-token X` are the CLI's schemes; `Bearer X` is for other clients. */
function credentialOf(req: Request): Credential | null {
  const header = req.headers.authorization;
  if (header === undefined) return null;
  const space = header.indexOf(" ");
  const scheme = header.slice(0, Math.max(space, 0)).toLowerCase();
  const token = header.slice(space + 1).trim();
  if (space < 0 || token === "" || token.length > 512) return { scheme: "token", token: "" };
  if (scheme === "token" || scheme === "bearer") return { scheme: "token", token };
  if (scheme === "update-token") return { scheme: "update-token", token };
  return { scheme: "token", token: "" };
}

function adminIdentity(): Identity {
  return {
    tokenId: "admin",
    tokenName: "admin token",
    kind: "person",
    login: ADMIN_LOGIN,
    name: "Administrator",
    email: "",
    expiresMs: null,
    memberships: [],
  };
}

/**
 * The holder of the request's API token.
 * @throws AppError LOGIN_REQUIRED | INVALID_TOKEN | TOO_MANY_FAILURES
 */
export async function authenticate(ctx: Context, guard: SignInGuard, req: Request): Promise<Principal> {
  const credential = credentialOf(req);
  if (credential === null || credential.scheme !== "token") throw new AppError("LOGIN_REQUIRED");
  const sourceIp = req.ip ?? "unknown";
  const tokenHash = hashToken(credential.token);
  const retryAfterSeconds = guard.secondsToWait(sourceIp, tokenHash);
  if (retryAfterSeconds > 0) {
    req.res?.setHeader("retry-after", String(retryAfterSeconds));
    throw new AppError("TOO_MANY_FAILURES", { sourceIp });
  }
  if (timingSafeEqual(Buffer.from(tokenHash, "hex"), ctx.adminTokenHash)) {
    return { identity: adminIdentity(), isInstanceAdmin: true, sourceIp };
  }
  const identity = await ctx.db.findIdentity(tokenHash, ctx.nowMs());
  if (identity === null) {
    guard.noteFailure(sourceIp);
    throw new AppError("INVALID_TOKEN", { sourceIp });
  }
  guard.noteSuccess(tokenHash, identity.tokenId);
  return { identity, isInstanceAdmin: false, sourceIp };
}

export function can(principal: Principal, organization: string, permission: Permission): boolean {
  if (principal.isInstanceAdmin) return true;
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

/** @throws AppError FORBIDDEN when the role behind an access doesn't stretch to `permission` */
export function requireMore(access: OrganizationAccess, permission: Permission): OrganizationAccess {
  return authorize(access.principal, access.organization, permission);
}

/** @throws AppError ADMIN_REQUIRED */
export function authorizeAdmin(principal: Principal): AdminAccess {
  if (!principal.isInstanceAdmin) throw new AppError("ADMIN_REQUIRED");
  return { principal, isInstanceAdmin: true };
}

/** @throws AppError INVALID_NAME for a path that could never name anything */
export function checkPathNames(params: Readonly<Record<string, unknown>>): void {
  const rules: readonly [string, (name: string) => boolean][] = [
    ["org", isOwnerName],
    ["project", isProjectName],
    ["stack", isStackName],
    ["updateId", isUpdateId],
  ];
  for (const [name, isValid] of rules) {
    const value = params[name];
    if (value === undefined) continue;
    if (typeof value !== "string" || !isValid(value)) {
      throw new AppError("INVALID_NAME", {}, { detail: `the ${name} in the path` });
    }
  }
}

function param(req: Request, name: string): string {
  const value = req.params[name];
  return typeof value === "string" ? value : "";
}

/** @throws AppError LOGIN_REQUIRED | LEASE_TOKEN_REQUIRED (an API token where a lease is due) */
export function claimLease(req: Request): LeaseClaim {
  const credential = credentialOf(req);
  if (credential === null) throw new AppError("LOGIN_REQUIRED");
  if (credential.scheme !== "update-token") throw new AppError("LEASE_TOKEN_REQUIRED");
  return { ref: updateRefOf(req), tokenHash: hashToken(credential.token) };
}

export function stackNameOf(req: Request): { organization: string; project: string; stack: string } {
  return { organization: param(req, "org"), project: param(req, "project"), stack: param(req, "stack") };
}

export function updateRefOf(req: Request): UpdateRef {
  return { ...stackNameOf(req), updateId: param(req, "updateId") };
}
