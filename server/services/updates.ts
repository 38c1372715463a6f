/** The life of an update up to its end: created, started, renewed; and what is told about it. */
import type { StackName, Update, UpdateKind, UpdateRef } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { newLeaseToken } from "../crypto/lease-token.ts";
import { seal, unseal } from "../crypto/seal.ts";
import { hashToken } from "../crypto/token-hash.ts";
import { AppError } from "../errors.ts";
import { type LeaseClaim, type OrganizationAccess, requireMore } from "../rules/access.ts";
import { finishUpdate } from "./finish.ts";
import { findScope, leaseExpired, noteScope } from "./lease.ts";
import { checkTags } from "./stacks.ts";
import { getStack } from "./state.ts";

/** Each try closes one holder whose lease has ended; another may have started meanwhile. */
const START_TRIES = 4;
const CONFIG_PURPOSE = "update config";

export type ConfigValues = Readonly<Record<string, unknown>>;

/**
 * Creates an update without taking the stack: whoever declines the confirmation leaves it behind.
 * Dry runs need less than real updates do.
 * @throws AppError STACK_NOT_FOUND | FORBIDDEN
 */
export async function createUpdate(
  ctx: Context,
  access: OrganizationAccess,
  input: {
    name: StackName;
    kind: UpdateKind;
    dryRun: boolean;
    config: ConfigValues | null;
    message: string;
    environment: Readonly<Record<string, string>>;
  },
): Promise<string> {
  if (!input.dryRun) requireMore(access, "stack:write");
  const stack = await getStack(ctx, access, input.name);
  const id = ctx.newOrderedId();
  const nowMs = ctx.nowMs();
  const config =
    input.config === null
      ? null
      : seal(ctx.keyring, stack.id, CONFIG_PURPOSE, Buffer.from(JSON.stringify(input.config)), {
          compress: true,
        });
  const outcome = await ctx.db.createUpdate({
    id,
    stackId: stack.id,
    kind: input.kind,
    dryRun: input.dryRun,
    actor: access.principal.identity.login,
    config,
    metadata: JSON.stringify({ message: input.message, environment: input.environment }),
    nowMs,
  });
  if (outcome === "absent") throw new AppError("STACK_NOT_FOUND", { stackId: stack.id });
  noteScope(ctx, { ...input.name, updateId: id }, { stackId: stack.id, dryRun: input.dryRun });
  ctx.deadlines.note(nowMs + ctx.config.notStartedMinutes * 60_000);
  return id;
}

export interface StartedUpdate {
  readonly version: number;
  readonly token: string;
  /** When the client should have renewed, Unix milliseconds. */
  readonly expiresMs: number;
  readonly journalVersion: number;
}

/**
 * Grants the lease of an update. A holder whose lease has ended is closed first, with all it had saved.
 * @throws AppError UPDATE_CONFLICT | UPDATE_FINISHED | UPDATE_NOT_FOUND | FORBIDDEN | INVALID_REQUEST
 */
export async function startUpdate(
  ctx: Context,
  access: OrganizationAccess,
  ref: UpdateRef,
  input: { tags: Readonly<Record<string, string>> | null; journalVersion: number; cliVersion: string | null },
): Promise<StartedUpdate> {
  const scope = await findScope(ctx, ref);
  if (scope === null) throw new AppError("UPDATE_NOT_FOUND", { updateId: ref.updateId });
  if (!scope.dryRun) requireMore(access, "stack:write");
  if (input.tags !== null) checkTags(input.tags);
  const token = newLeaseToken(ctx.keyring);
  const leaseMs = ctx.config.leaseSecondsMax * 1000;
  for (let attempt = 0; attempt < START_TRIES; attempt++) {
    const nowMs = ctx.nowMs();
    const leaseExpiresMs = nowMs + leaseMs + ctx.config.leaseGraceSeconds * 1000;
    const outcome = await ctx.db.startUpdate({
      ref,
      leaseTokenHash: hashToken(token),
      leaseExpiresMs,
      journalVersion: ctx.config.journaling && input.journalVersion >= 1 ? 1 : 0,
      cliVersion: input.cliVersion,
      tags: input.tags,
      nowMs,
    });
    switch (outcome.kind) {
      case "started":
        ctx.deadlines.note(leaseExpiresMs);
        return { ...outcome, token, expiresMs: nowMs + leaseMs };
      case "holder_expired":
        await finishUpdate(ctx, {
          updateId: outcome.updateId,
          status: "failed",
          ending: "expired",
          onlyIfExpiredAtMs: nowMs,
        });
        continue;
      case "conflict":
        throw new AppError("UPDATE_CONFLICT", { updateId: ref.updateId, holder: outcome.holder.updateId });
      case "finished":
        throw new AppError("UPDATE_FINISHED", { updateId: ref.updateId });
      case "absent":
        throw new AppError("UPDATE_NOT_FOUND", { updateId: ref.updateId });
      default:
        return outcome satisfies never;
    }
  }
  throw new AppError("UPDATE_CONFLICT", { updateId: ref.updateId });
}

/**
 * Extends a lease to at most the configured time from now. The token stays the same: state saves and event
 * batches may be in flight with it.
 * @throws AppError LEASE_EXPIRED
 */
export async function renewLease(
  ctx: Context,
  claim: LeaseClaim,
  durationSeconds: number,
): Promise<{ expiresMs: number }> {
  const nowMs = ctx.nowMs();
  const leaseMs = Math.min(Math.max(durationSeconds, 1), ctx.config.leaseSecondsMax) * 1000;
  const outcome = await ctx.db.renewLease({
    ...claim,
    expiresMs: nowMs + leaseMs + ctx.config.leaseGraceSeconds * 1000,
    nowMs,
  });
  if (outcome.kind === "lease_refused") throw leaseExpired(claim, outcome.why);
  return { expiresMs: nowMs + leaseMs };
}

/** @throws AppError UPDATE_NOT_FOUND */
export async function getUpdate(ctx: Context, ref: UpdateRef): Promise<Update> {
  const update = await ctx.db.findUpdate(ref);
  if (update === null) throw new AppError("UPDATE_NOT_FOUND", { updateId: ref.updateId });
  return update;
}

export const HISTORY_PAGE_MAX = 1000;

/** Real updates, newest first. */
export async function listHistory(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  page: { page: number; pageSize: number },
): Promise<Update[]> {
  const stack = await getStack(ctx, access, name);
  return ctx.db.listHistory(stack.id, page);
}

export async function listPreviews(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  page: { page: number; pageSize: number },
): Promise<Update[]> {
  const stack = await getStack(ctx, access, name);
  return ctx.db.listPreviews(stack.id, page);
}

/** @throws AppError NO_PREVIOUS_UPDATE */
export async function latestUpdate(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
): Promise<Update> {
  const [latest] = await listHistory(ctx, access, name, { page: 1, pageSize: 1 });
  if (latest === undefined) throw new AppError("NO_PREVIOUS_UPDATE");
  return latest;
}

/** @throws AppError STATE_VERSION_NOT_FOUND */
export async function updateByVersion(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  version: number,
): Promise<Update> {
  const stack = await getStack(ctx, access, name);
  const update = await ctx.db.findUpdateByVersion(stack.id, version);
  if (update === null) throw new AppError("STATE_VERSION_NOT_FOUND", { version });
  return update;
}

/** The configuration an update was created with, as it was sent. */
export function configOf(ctx: Context, update: Update): ConfigValues {
  if (update.config === null) return {};
  const plain = unseal(ctx.keyring, update.stackId, CONFIG_PURPOSE, update.config);
  return JSON.parse(Buffer.from(plain).toString("utf8")) as ConfigValues;
}
