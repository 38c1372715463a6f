/** Who is asking: from the headers and the path of a request to what server/rules/access.ts judges. */
import { timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import type { Identity, UpdateRef } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { isOwnLeaseToken } from "../crypto/lease-token.ts";
import { hashToken } from "../crypto/token-hash.ts";
import { AppError } from "../errors.ts";
import { ADMIN_LOGIN, type LeaseClaim, type Principal } from "../rules/access.ts";
import { isOwnerName, isProjectName, isStackName, isUpdateId } from "../rules/names.ts";
import type { SignInGuard } from "../services/sign-in-guard.ts";

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
    stackId: null,
  };
}

/**
 * The holder of the request's API token.
 * @throws AppError LOGIN_REQUIRED | INVALID_TOKEN | TOO_MANY_FAILURES
 */
export async function authenticate(ctx: Context, guard: SignInGuard, req: Request): Promise<Principal> {
  const credential = credentialOf(req);
  if (credential === null || credential.scheme !== "token") throw new AppError("LOGIN_REQUIRED");
  const sourceIp = sourceOf(req);
  const tokenHash = hashToken(credential.token);
  requirePatience(guard, req, tokenHash);
  if (timingSafeEqual(Buffer.from(tokenHash, "hex"), ctx.adminTokenHash)) {
    guard.noteSuccess(tokenHash, null);
    return { identity: adminIdentity(), isInstanceAdmin: true, sourceIp };
  }
  const identity = await ctx.db.findIdentity(tokenHash, ctx.nowMs());
  if (identity === null) {
    await guard.noteFailure(sourceIp);
    throw new AppError("INVALID_TOKEN", { sourceIp });
  }
  guard.noteSuccess(tokenHash, identity.tokenId);
  return { identity, isInstanceAdmin: false, sourceIp };
}

export function sourceOf(req: Request): string {
  return req.ip ?? "unknown";
}

/** @throws AppError TOO_MANY_FAILURES from an address that has guessed too often, unless the token is known */
export function requirePatience(guard: SignInGuard, req: Request, tokenHash: string): void {
  if (guard.isCalm) return;
  const sourceIp = sourceOf(req);
  const retryAfterSeconds = guard.secondsToWait(sourceIp, tokenHash);
  if (retryAfterSeconds === 0) return;
  req.res?.setHeader("retry-after", String(retryAfterSeconds));
  throw new AppError("TOO_MANY_FAILURES", { sourceIp });
}

/**
 * The same for lease tokens. Those of ours are known by themselves, at every replica: whoever runs an update has
 * shown a good access token before.
 * @throws AppError TOO_MANY_FAILURES
 */
export function requireLeasePatience(
  ctx: Context,
  guard: SignInGuard,
  req: Request,
  tokenHash: string,
): void {
  if (guard.isCalm || isOwnLeaseToken(ctx.keyring, credentialOf(req)?.token ?? "")) return;
  requirePatience(guard, req, tokenHash);
}

const NAME_RULES: readonly (readonly [string, (name: string) => boolean])[] = [
  ["org", isOwnerName],
  ["project", isProjectName],
  ["stack", isStackName],
  ["updateId", isUpdateId],
];

/** @throws AppError INVALID_NAME for a path that could never name anything */
export function checkPathNames(params: Readonly<Record<string, unknown>>): void {
  for (const [name, isValid] of NAME_RULES) {
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
