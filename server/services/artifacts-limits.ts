/** How long artifacts are kept and how many: what an organization or a stack has set, else what settings say. */
import { limitOf } from "../../db-adapters/artifact-rules.ts";
import type { ArtifactLimits } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { type OrganizationAccess, stackLimitOf } from "../rules/access.ts";
import { noteRetention, type PlaceNames, resolvePlace } from "./artifacts.ts";
import { auditEvent } from "./audit.ts";

export interface LimitsInForce {
  /** What the place has set itself; null where it has not. */
  readonly own: ArtifactLimits;
  /** What holds for it; null for no limit. */
  readonly inForce: ArtifactLimits;
}

type Names = Pick<PlaceNames, "project" | "stack">;

async function stackIdOf(ctx: Context, access: OrganizationAccess, names: Names): Promise<string | null> {
  const isOfStack = names.project !== undefined || names.stack !== undefined || stackLimitOf(access) !== null;
  return isOfStack ? (await resolvePlace(ctx, access, names)).stackId : null;
}

/** Of the organization, or of a stack. @throws AppError STACK_NOT_FOUND */
export async function findLimits(
  ctx: Context,
  access: OrganizationAccess,
  names: Names,
): Promise<LimitsInForce> {
  const { config } = ctx;
  const stackId = await stackIdOf(ctx, access, names);
  const { ofOrganization, ofStack } = await ctx.db.findArtifactLimits(access.organization, stackId);
  const ageDays = [ofStack.ageDays, ofOrganization.ageDays, config.artifactRetentionDays];
  const quotaBytes = limitOf(ofOrganization.quotaBytes, config.artifactQuotaBytes);
  if (stackId === null) {
    const filesMax = limitOf(ofOrganization.filesMax, config.artifactsKeepPerOrganization);
    const bytesMax = limitOf(ofOrganization.bytesMax, config.artifactBytesPerOrganization);
    return { own: ofOrganization, inForce: { ageDays: limitOf(...ageDays), filesMax, bytesMax, quotaBytes } };
  }
  const filesMax = limitOf(ofStack.filesMax, config.artifactsKeepPerStack);
  const bytesMax = limitOf(ofStack.bytesMax, config.artifactBytesPerStack);
  return { own: ofStack, inForce: { ageDays: limitOf(...ageDays), filesMax, bytesMax, quotaBytes } };
}

/** Replaces what the place has set; the next sweep goes by it. @throws AppError STACK_NOT_FOUND | INVALID_REQUEST */
export async function setLimits(
  ctx: Context,
  access: OrganizationAccess,
  names: Names,
  limits: ArtifactLimits,
): Promise<LimitsInForce> {
  const { organization, principal } = access;
  const stackId = await stackIdOf(ctx, access, names);
  if (stackId !== null && limits.quotaBytes !== null) {
    throw new AppError("INVALID_REQUEST", {}, { detail: "a quota is an organization's, not a stack's" });
  }
  const target = stackId === null ? organization : `${names.project}/${names.stack}`;
  const event = auditEvent(ctx, principal, "artifact.limits", organization, target);
  const outcome = await ctx.db.setArtifactLimits({ organization, stackId, limits, audit: event });
  if (outcome === "no_organization") throw new AppError("ORGANIZATION_NOT_FOUND");
  if (outcome === "no_stack") throw new AppError("STACK_NOT_FOUND");
  await noteRetention(ctx, organization, stackId);
  return findLimits(ctx, access, names);
}
