/** Access tokens of people and machines: shown once, stored as a hash. */
import { randomBytes } from "node:crypto";
import type { AccessToken, Role } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { hashToken } from "../crypto/token-hash.ts";
import { AppError } from "../errors.ts";
import type { AdminAccess } from "../rules/access.ts";
import { auditEvent } from "./audit.ts";

const TOKEN_BYTES = 32;

/** A person's token does what the person may; a machine's has a role of its own in one organization. */
export type TokenOwner =
  | { readonly kind: "person"; readonly login: string }
  | {
      readonly kind: "machine";
      readonly organization: string;
      readonly role: Role;
      /** Given, it is for this stack's artifacts alone. */
      readonly stack?: { readonly project: string; readonly stack: string };
    };

export interface NewToken {
  readonly name: string;
  readonly owner: TokenOwner;
  /** Null: until revoked. */
  readonly expiresInSeconds: number | null;
}

export interface CreatedToken {
  /** The credential itself: this is the only time that anybody sees it. */
  readonly secret: string;
  readonly token: AccessToken;
}

/** The prefix lets secret scanners find a token that was committed by mistake. */
export function newTokenSecret(): string {
  return `sth_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
}

/** @throws AppError USER_NOT_FOUND | ORGANIZATION_NOT_FOUND | STACK_NOT_FOUND */
export async function createToken(ctx: Context, access: AdminAccess, input: NewToken): Promise<CreatedToken> {
  const { name, owner, expiresInSeconds } = input;
  const secret = newTokenSecret();
  const nowMs = ctx.nowMs();
  const stored = {
    id: ctx.newId(),
    name,
    kind: owner.kind,
    login: owner.kind === "person" ? owner.login : null,
    organization: owner.kind === "machine" ? owner.organization : null,
    role: owner.kind === "machine" ? owner.role : null,
    stackId: owner.kind === "machine" ? await stackIdOf(ctx, owner) : null,
    createdBy: access.principal.identity.login,
    expiresMs: expiresInSeconds === null ? null : nowMs + expiresInSeconds * 1000,
  };
  const target = `${stored.id} (${stored.login ?? stored.role}: ${name})`;
  const audit = auditEvent(ctx, access.principal, "token.create", stored.organization, target);
  const outcome = await ctx.db.createToken({ ...stored, tokenHash: hashToken(secret), nowMs, audit });
  switch (outcome) {
    case "created":
      break;
    case "no_user":
      throw new AppError("USER_NOT_FOUND", { login: stored.login ?? "" });
    case "no_organization":
      throw new AppError("ORGANIZATION_NOT_FOUND", { organization: stored.organization ?? "" });
    default:
      return outcome satisfies never;
  }
  if (stored.expiresMs !== null) ctx.deadlines.note(stored.expiresMs);
  return { secret, token: { ...stored, createdMs: nowMs, lastUsedMs: null, revokedMs: null } };
}

async function stackIdOf(ctx: Context, owner: TokenOwner & { kind: "machine" }): Promise<string | null> {
  if (owner.stack === undefined) return null;
  const stack = await ctx.db.findStack({ organization: owner.organization, ...owner.stack });
  if (stack === null) throw new AppError("STACK_NOT_FOUND");
  return stack.id;
}

/**
 * Ends a token at once. Again is fine: a retry must not fail. An id that never was does fail, since whoever
 * mistypes one would believe the token gone.
 * @throws AppError TOKEN_NOT_FOUND
 */
export async function revokeToken(ctx: Context, access: AdminAccess, id: string): Promise<void> {
  const nowMs = ctx.nowMs();
  const audit = auditEvent(ctx, access.principal, "token.revoke", null, id);
  const outcome = await ctx.db.revokeToken({ id, nowMs, audit });
  switch (outcome) {
    case "revoked":
      ctx.deadlines.note(nowMs);
      return;
    case "already_revoked":
      return;
    case "absent":
      throw new AppError("TOKEN_NOT_FOUND", { tokenId: id });
    default:
      outcome satisfies never;
  }
}
