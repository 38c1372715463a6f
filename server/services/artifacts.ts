/** Artifacts: find, list, label, pin, delete, and what they take up. */
import type {
  Artifact,
  ArtifactFilter,
  ArtifactPlace,
  ArtifactUsage,
  PageRequest,
} from "../../db-adapters/contract.ts";
import { openArtifact } from "../blobs/artifacts.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import { type OrganizationAccess, stackLimitOf } from "../rules/access.ts";
import { findLabelProblem, isSensitive } from "./artifacts-names.ts";
import { type Actor, audit } from "./audit.ts";

/** What an artifact is bound to, as clients name it. */
export interface PlaceNames {
  readonly project?: string | undefined;
  readonly stack?: string | undefined;
  readonly update?: string | undefined;
  readonly commit?: string | undefined;
}

export interface OwnedPlace extends ArtifactPlace {
  /** Whose key the bytes are sealed with: the stack, else the organization. */
  readonly ownerId: string;
}

export const targetOf = (artifact: Pick<Artifact, "id" | "name">): string =>
  `${artifact.id} (${artifact.name})`;

/**
 * From names to ids. A token of one stack's artifacts gets that stack, named or not.
 * @throws AppError INVALID_REQUEST | STACK_NOT_FOUND | UPDATE_NOT_FOUND | FORBIDDEN
 */
export async function resolvePlace(
  ctx: Context,
  access: OrganizationAccess,
  { project, stack, update, commit }: PlaceNames,
): Promise<OwnedPlace> {
  const { organization } = access;
  const limit = stackLimitOf(access);
  if ((project === undefined) !== (stack === undefined)) {
    throw new AppError("INVALID_REQUEST", {}, { detail: "project and stack go together" });
  }
  let stackId = limit;
  if (project !== undefined && stack !== undefined) {
    const found = await ctx.db.findStack({ organization, project, stack });
    if (found === null) throw new AppError("STACK_NOT_FOUND");
    if (limit !== null && found.id !== limit) throw forbidden();
    stackId = found.id;
  }
  if (update !== undefined) {
    const found = await ctx.db.findUpdateById(update);
    if (found === null || found.organization !== organization) throw new AppError("UPDATE_NOT_FOUND");
    if (limit !== null && found.stackId !== limit) throw forbidden();
    if (stackId !== null && found.stackId !== stackId) throw new AppError("UPDATE_NOT_FOUND");
    stackId = found.stackId;
  }
  if (stackId === null && commit === undefined) {
    const detail = "say what it belongs to: project and stack, update, or commit";
    throw new AppError("INVALID_REQUEST", {}, { detail });
  }
  const ownerId = stackId ?? (await organizationId(ctx, organization));
  return { stackId, updateId: update ?? null, commit: commit ?? null, ownerId };
}

function forbidden(): AppError {
  return new AppError("FORBIDDEN", {}, { detail: "the token is for another stack's artifacts" });
}

async function organizationId(ctx: Context, name: string): Promise<string> {
  const organization = await ctx.db.findOrganization(name);
  if (organization === null) throw new AppError("ORGANIZATION_NOT_FOUND");
  return organization.id;
}

/** Granted uploads included. @throws AppError ARTIFACT_NOT_FOUND, also for another stack's with a limited token */
export async function getAnyArtifact(
  ctx: Context,
  access: OrganizationAccess,
  id: string,
): Promise<Artifact> {
  const artifact = await ctx.db.findArtifact(access.organization, id);
  const limit = stackLimitOf(access);
  if (artifact === null || (limit !== null && artifact.stackId !== limit)) {
    throw new AppError("ARTIFACT_NOT_FOUND");
  }
  return artifact;
}

/** @throws AppError ARTIFACT_NOT_FOUND */
export async function getArtifact(ctx: Context, access: OrganizationAccess, id: string): Promise<Artifact> {
  const artifact = await getAnyArtifact(ctx, access, id);
  if (artifact.pendingUntilMs !== null) throw new AppError("ARTIFACT_NOT_FOUND");
  return artifact;
}

export function listArtifacts(
  ctx: Context,
  access: OrganizationAccess,
  filter: ArtifactFilter,
  page: PageRequest,
): Promise<Artifact[]> {
  if (filter.stack !== undefined && filter.project === undefined) {
    throw new AppError("INVALID_REQUEST", {}, { detail: "stack goes with project" });
  }
  const limit = stackLimitOf(access);
  return ctx.db.listArtifacts(
    access.organization,
    limit === null ? filter : { ...filter, stackId: limit },
    page,
  );
}

/** @throws AppError ARTIFACT_NOT_FOUND | INVALID_REQUEST */
export async function changeArtifact(
  ctx: Context,
  access: OrganizationAccess,
  id: string,
  change: { readonly labels?: Readonly<Record<string, string>>; readonly isPinned?: boolean },
): Promise<Artifact> {
  const problem = change.labels === undefined ? null : findLabelProblem(change.labels);
  if (problem !== null) throw new AppError("INVALID_REQUEST", {}, { detail: problem });
  const artifact = await getArtifact(ctx, access, id);
  const outcome = await ctx.db.changeArtifact({ organization: access.organization, id, ...change });
  if (outcome === "absent") throw new AppError("ARTIFACT_NOT_FOUND");
  if (change.isPinned !== undefined && change.isPinned !== artifact.isPinned) {
    const action = change.isPinned ? "artifact.pin" : "artifact.unpin";
    await audit(ctx, access.principal, action, access.organization, targetOf(artifact));
    if (!change.isPinned) await noteRetention(ctx, access.organization, artifact.stackId);
  }
  return getArtifact(ctx, access, id);
}

/** The row first: a crash before the blob is gone leaves one that nothing names. @throws AppError ARTIFACT_… */
export async function deleteArtifact(ctx: Context, access: OrganizationAccess, id: string): Promise<void> {
  const artifact = await getAnyArtifact(ctx, access, id);
  const outcome = await ctx.db.deleteArtifact({ organization: access.organization, id });
  switch (outcome.kind) {
    case "deleted":
      await ctx.blobs.delete(outcome.blobKey);
      if (artifact.pendingUntilMs !== null) await deleteBelow(ctx, `${outcome.blobKey}.`); // parts of it
      await audit(ctx, access.principal, "artifact.delete", access.organization, targetOf(artifact));
      return;
    case "pinned":
      throw new AppError("ARTIFACT_PINNED", { artifactId: id });
    case "absent":
      throw new AppError("ARTIFACT_NOT_FOUND", { artifactId: id });
    default:
      outcome satisfies never;
  }
}

/** Every blob whose key starts so. */
export async function deleteBelow(ctx: Context, prefix: string): Promise<void> {
  for await (const { key } of ctx.blobs.list(prefix)) await ctx.blobs.delete(key);
}

/** Of the organization, or of a stack. */
export async function artifactUsage(
  ctx: Context,
  access: OrganizationAccess,
  names: Pick<PlaceNames, "project" | "stack">,
): Promise<ArtifactUsage> {
  const ofStack = names.project !== undefined || names.stack !== undefined || stackLimitOf(access) !== null;
  const stackId = ofStack ? (await resolvePlace(ctx, access, names)).stackId : null;
  return ctx.db.findArtifactUsage(access.organization, stackId);
}

/** The plain bytes; a download of what may hold secrets is noted first. */
export async function readArtifact(
  ctx: Context,
  actor: Actor,
  artifact: Artifact,
  range: { readonly startByte: number; readonly endByte: number },
): Promise<AsyncIterable<Uint8Array>> {
  const bytes = await openArtifact(ctx, artifact, range);
  if (isSensitive(artifact.kind)) {
    await audit(ctx, actor, "artifact.download", artifact.organization, targetOf(artifact));
  }
  return bytes;
}

/** Retention is due as soon as something was added, or limits were changed. */
export async function noteRetention(
  ctx: Context,
  organization: string,
  stackId: string | null,
): Promise<void> {
  const { config } = ctx;
  const { ofOrganization, ofStack } = await ctx.db.findArtifactLimits(organization, stackId);
  const limits = [
    ...[config.artifactsKeepPerStack, config.artifactBytesPerStack],
    ...[config.artifactsKeepPerOrganization, config.artifactBytesPerOrganization],
    ...[ofOrganization.ageDays, ofOrganization.filesMax, ofOrganization.bytesMax],
    ...[ofStack.ageDays, ofStack.filesMax, ofStack.bytesMax],
  ];
  if (limits.some((limit) => limit !== null)) ctx.deadlines.note(ctx.nowMs());
}
