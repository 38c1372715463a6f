/**
 * Bytes first, rows second: the row is the commit point. What is cut off, too large, over the quota or not what
 * its checksum says leaves nothing; a crash in between leaves a blob that no row names, which the sweep deletes.
 */
import { randomBytes } from "node:crypto";
import { limitOf } from "../../db-adapters/artifact-rules.ts";
import type { Artifact, NewArtifact } from "../../db-adapters/contract.ts";
import { formOf, newArtifactKey, putArtifact } from "../blobs/artifacts.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import type { OrganizationAccess } from "../rules/access.ts";
import {
  getAnyArtifact,
  getArtifact,
  noteRetention,
  type OwnedPlace,
  type PlaceNames,
  resolvePlace,
} from "./artifacts.ts";
import { cleanArtifactName, findLabelProblem, safeContentType } from "./artifacts-names.ts";
import { dropParts, joinParts, PARTS_WITHIN_MS } from "./artifacts-parts.ts";
import { type Expected, Tally } from "./artifacts-tally.ts";

/** An upload that was granted may be confirmed for so long after its link ended: it may still be on its way. */
const CONFIRM_WITHIN_MS = 3_600_000;
const ID_TIME_DIGITS = 12;

/** What holds for all files of a request. */
export interface UploadFacts {
  readonly place: OwnedPlace;
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isPinned: boolean;
}

/** Bytes that are stored and have no row yet. */
export interface ReceivedFile {
  readonly name: string;
  readonly contentType: string;
  readonly blobKey: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** @throws AppError INVALID_REQUEST | STACK_NOT_FOUND | UPDATE_NOT_FOUND | FORBIDDEN */
export async function beginUpload(
  ctx: Context,
  access: OrganizationAccess,
  asked: PlaceNames & { kind: string; labels: Readonly<Record<string, string>>; pinned: boolean },
): Promise<UploadFacts> {
  const problem = findLabelProblem(asked.labels);
  if (problem !== null) throw new AppError("INVALID_REQUEST", {}, { detail: problem });
  const place = await resolvePlace(ctx, access, asked);
  return { place, kind: asked.kind, labels: asked.labels, isPinned: asked.pinned };
}

/** @throws AppError INVALID_NAME */
export function requireName(given: string): string {
  const cleaned = cleanArtifactName(given);
  if ("name" in cleaned) return cleaned.name;
  throw new AppError("INVALID_NAME", {}, { detail: cleaned.problem });
}

/** Ids sort by time. */
function newArtifactId(ctx: Context): string {
  return ctx.nowMs().toString(16).padStart(ID_TIME_DIGITS, "0") + randomBytes(10).toString("hex");
}

function tooLarge(maxBytes: number): AppError {
  return new AppError(
    "BODY_TOO_LARGE",
    { maxBytes },
    { detail: `an artifact has at most ${maxBytes} bytes` },
  );
}

function overQuota(quotaBytes: number, usedBytes: number): AppError {
  const detail = `${usedBytes} of ${quotaBytes} bytes are used`;
  return new AppError("ARTIFACT_QUOTA", { quotaBytes, usedBytes }, { detail });
}

/** How large an upload may be that begins now. @throws AppError ARTIFACT_QUOTA | BODY_TOO_LARGE */
async function roomFor(
  ctx: Context,
  organization: string,
  announcedBytes: number,
): Promise<{ roomBytes: number; quotaBytes: number | null }> {
  const { artifactBytesMax, artifactQuotaBytes } = ctx.config;
  if (announcedBytes > artifactBytesMax) throw tooLarge(artifactBytesMax);
  const { ofOrganization } = await ctx.db.findArtifactLimits(organization, null);
  const quotaBytes = limitOf(ofOrganization.quotaBytes, artifactQuotaBytes);
  if (quotaBytes === null) return { roomBytes: artifactBytesMax, quotaBytes };
  const used = await ctx.db.findArtifactUsage(organization, null);
  if (used.bytes + announcedBytes > quotaBytes) throw overQuota(quotaBytes, used.bytes);
  return { roomBytes: Math.min(artifactBytesMax, quotaBytes - used.bytes), quotaBytes };
}

/** Stores the bytes of one file, whole or not at all. @throws AppError; what `body` throws, as it is */
export async function receiveFile(
  ctx: Context,
  access: OrganizationAccess,
  facts: UploadFacts,
  file: { readonly name: string; readonly contentType: string | undefined; readonly expected: Expected },
  body: AsyncIterable<Uint8Array>,
): Promise<ReceivedFile> {
  const name = requireName(file.name);
  const announcedBytes = file.expected.sizeBytes ?? 0;
  const { roomBytes, quotaBytes } = await roomFor(ctx, access.organization, announcedBytes);
  const { artifactBytesMax } = ctx.config;
  const tally = new Tally(file.expected, (sizeBytes) => {
    if (sizeBytes <= roomBytes) return null;
    if (sizeBytes > artifactBytesMax || quotaBytes === null) return tooLarge(artifactBytesMax);
    return overQuota(quotaBytes, quotaBytes - roomBytes);
  });
  const blobKey = newArtifactKey(facts.place.ownerId);
  const maxBytes = file.expected.sizeBytes ?? roomBytes;
  await putArtifact(ctx, blobKey, tally.of(body), { maxBytes });
  const { sizeBytes, sha256 } = tally;
  return { name, contentType: safeContentType(file.contentType, name), blobKey, sizeBytes, sha256 };
}

/** Removes what was received and will have no row. What can't be removed now, the sweep removes. */
export async function dropFiles(
  ctx: Context,
  files: readonly Pick<ReceivedFile, "blobKey">[],
): Promise<void> {
  await Promise.allSettled(files.map((file) => ctx.blobs.delete(file.blobKey)));
}

/** Gives received files their rows, all or none. @throws AppError; nothing is left behind then */
export async function commitFiles(
  ctx: Context,
  access: OrganizationAccess,
  facts: UploadFacts,
  files: readonly ReceivedFile[],
): Promise<Artifact[]> {
  const rows = files.map((file) => newRow(ctx, access, facts, file));
  try {
    await createRows(ctx, access, rows, null);
  } catch (error) {
    // An answer that was lost may have been a yes: then the rows name these blobs.
    if (error instanceof AppError) await dropFiles(ctx, files);
    throw error;
  }
  await noteRetention(ctx, access.organization, facts.place.stackId);
  return Promise.all(rows.map((row) => getArtifact(ctx, access, row.id)));
}

function newRow(
  ctx: Context,
  access: OrganizationAccess,
  { place, kind, labels, isPinned }: UploadFacts,
  file: ReceivedFile,
): NewArtifact {
  const { ownerId: _, ...bound } = place;
  const actor = access.principal.identity.login;
  return { id: newArtifactId(ctx), ...bound, ...file, kind, labels, isPinned, actor, isSealed: true };
}

async function createRows(
  ctx: Context,
  access: OrganizationAccess,
  artifacts: readonly NewArtifact[],
  pendingUntilMs: number | null,
): Promise<void> {
  const { organization } = access;
  const quotaBytes = ctx.config.artifactQuotaBytes;
  const nowMs = ctx.nowMs();
  const outcome = await ctx.db.createArtifacts({
    organization,
    artifacts,
    quotaBytes,
    pendingUntilMs,
    nowMs,
  });
  switch (outcome.kind) {
    case "created":
      return;
    case "over_quota":
      throw overQuota(outcome.quotaBytes, outcome.usedBytes);
    case "no_organization":
      throw new AppError("ORGANIZATION_NOT_FOUND");
    case "no_stack":
      throw new AppError("STACK_NOT_FOUND");
    case "no_update":
      throw new AppError("UPDATE_NOT_FOUND");
    default:
      outcome satisfies never;
  }
}

/** A row that reserves the quota and a key for the bytes; shown once they are there and confirmed. */
export async function grantUpload(
  ctx: Context,
  access: OrganizationAccess,
  facts: UploadFacts,
  file: {
    readonly name: string;
    readonly contentType?: string | undefined;
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly inParts: boolean;
  },
): Promise<Artifact> {
  const name = requireName(file.name);
  await roomFor(ctx, access.organization, file.sizeBytes);
  const row = newRow(ctx, access, facts, {
    name,
    contentType: safeContentType(file.contentType, name),
    blobKey: newArtifactKey(facts.place.ownerId),
    sizeBytes: file.sizeBytes,
    sha256: file.sha256,
  });
  const withinMs = file.inParts ? PARTS_WITHIN_MS : ctx.config.artifactLinkSeconds * 1000 + CONFIRM_WITHIN_MS;
  const pendingUntilMs = ctx.nowMs() + withinMs;
  await createRows(ctx, access, [row], pendingUntilMs);
  ctx.deadlines.note(pendingUntilMs + 1);
  return getAnyArtifact(ctx, access, row.id);
}

/** The bytes of a granted upload, through us. @throws AppError ARTIFACT_LINK_INVALID once it is confirmed */
export async function receiveGranted(
  ctx: Context,
  artifact: Artifact,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  if (artifact.pendingUntilMs === null || artifact.pendingUntilMs < ctx.nowMs()) {
    throw new AppError("ARTIFACT_LINK_INVALID");
  }
  const { sizeBytes, sha256 } = artifact;
  const tally = new Tally({ sizeBytes, sha256 }, (bytes) =>
    bytes > sizeBytes ? new AppError("ARTIFACT_CHECKSUM", { sizeBytes: bytes }) : null,
  );
  await putArtifact(ctx, artifact.blobKey, tally.of(body), { maxBytes: sizeBytes });
}

/**
 * Shows a granted upload once its bytes are there, or all of its parts. The store has checked their hash, by the
 * signature of the link or as they came through us; their size tells which of the two it was.
 * @throws AppError ARTIFACT_NOT_FOUND | ARTIFACT_NOT_UPLOADED | ARTIFACT_CHECKSUM
 */
export async function confirmUpload(ctx: Context, access: OrganizationAccess, id: string): Promise<Artifact> {
  const artifact = await getAnyArtifact(ctx, access, id);
  if (artifact.pendingUntilMs === null) return artifact;
  const form = (await storedForm(ctx, artifact)) ?? (await joined(ctx, artifact));
  const { organization } = access;
  const outcome = await ctx.db.confirmArtifact({ organization, id, isSealed: form === "sealed" });
  if (outcome === "absent") throw new AppError("ARTIFACT_NOT_FOUND", { artifactId: id });
  await dropParts(ctx, artifact.blobKey);
  await noteRetention(ctx, organization, artifact.stackId);
  return getArtifact(ctx, access, id);
}

async function storedForm(ctx: Context, artifact: Artifact): Promise<"sealed" | "plain" | null> {
  const blob = await ctx.blobs.find(artifact.blobKey);
  return blob === null ? null : formOf(blob.sizeBytes, artifact.sizeBytes);
}

async function joined(ctx: Context, artifact: Artifact): Promise<"sealed"> {
  await joinParts(ctx, artifact);
  return "sealed";
}
