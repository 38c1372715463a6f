/**
 * What every call with a lease token needs. Which stack an update belongs to never changes, so that a save
 * needs no extra look-up.
 */
import type { UpdateRef } from "../../db-adapters/contract.ts";
import { type Context, perContext } from "../context.ts";
import { AppError } from "../errors.ts";
import type { LeaseClaim } from "../rules/access.ts";

export interface UpdateScope {
  readonly stackId: string;
  readonly dryRun: boolean;
}

const SCOPES_MAX = 10_000;

interface Known {
  readonly ref: UpdateRef;
  readonly scope: UpdateScope;
}

/** By the update's id. */
const cacheOf = perContext(() => new Map<string, Known>());

function isSame(a: UpdateRef, b: UpdateRef): boolean {
  return (
    a.updateId === b.updateId &&
    a.stack === b.stack &&
    a.project === b.project &&
    a.organization === b.organization
  );
}

/** Remembers what was just written or read. */
export function noteScope(ctx: Context, ref: UpdateRef, scope: UpdateScope): void {
  const cache = cacheOf(ctx);
  if (cache.size >= SCOPES_MAX) {
    const [oldest] = cache.keys();
    if (oldest !== undefined) cache.delete(oldest);
  }
  cache.set(ref.updateId, { ref, scope });
}

/** Null for an update that isn't there. Whether names and lease still hold is for the step that writes. */
export async function findScope(ctx: Context, ref: UpdateRef): Promise<UpdateScope | null> {
  const known = cacheOf(ctx).get(ref.updateId);
  if (known !== undefined && isSame(known.ref, ref)) return known.scope;
  const scope = await ctx.db.findUpdateScope(ref);
  if (scope !== null) noteScope(ctx, ref, scope);
  return scope;
}

/** @throws AppError LEASE_EXPIRED for an update that isn't there: the CLI must stop, not retry */
export async function scopeOf(ctx: Context, ref: UpdateRef): Promise<UpdateScope> {
  const scope = await findScope(ctx, ref);
  if (scope === null) throw new AppError("LEASE_EXPIRED", { updateId: ref.updateId, why: "unknown_update" });
  return scope;
}

export function leaseExpired(claim: LeaseClaim, why: string): AppError {
  return new AppError("LEASE_EXPIRED", { updateId: claim.ref.updateId, why });
}

/** @throws AppError LEASE_EXPIRED */
export async function checkLease(ctx: Context, claim: LeaseClaim): Promise<void> {
  const lease = await ctx.db.checkLease(claim.ref, claim.tokenHash);
  if (lease.kind === "lease_refused") throw leaseExpired(claim, lease.why);
}
