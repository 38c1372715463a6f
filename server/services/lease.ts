/**
 * What every call with a lease token needs. Which stack an update belongs to never changes, so that a save
 * needs no extra look-up.
 */
import type { UpdateRef } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import type { LeaseClaim } from "../rules/access.ts";

export interface UpdateScope {
  readonly stackId: string;
  readonly dryRun: boolean;
}

const SCOPES_MAX = 10_000;
const caches = new WeakMap<Context, Map<string, UpdateScope>>();

/**
 * Only sealing relies on it; that the lease and the names still hold is decided by the step that writes.
 * @throws AppError LEASE_EXPIRED for an update that isn't there: the CLI must stop, not retry
 */
export async function scopeOf(ctx: Context, ref: UpdateRef): Promise<UpdateScope> {
  let cache = caches.get(ctx);
  if (cache === undefined) {
    cache = new Map();
    caches.set(ctx, cache);
  }
  const key = `${ref.organization}/${ref.project}/${ref.stack}/${ref.updateId}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  const scope = await ctx.db.findUpdateScope(ref);
  if (scope === null) throw new AppError("LEASE_EXPIRED", { updateId: ref.updateId, why: "unknown_update" });
  if (cache.size >= SCOPES_MAX) {
    const [oldest] = cache.keys();
    if (oldest !== undefined) cache.delete(oldest);
  }
  cache.set(key, scope);
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
