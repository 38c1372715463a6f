/**
 * Large uploads in parts, so that one that is interrupted goes on where it was, past a restart of this server too:
 * each part is a blob of its own below the upload's key, and what is there is what the file store lists. When all
 * are, they are read once, checked against the whole's hash and stored as one; only then the artifact shows. No row
 * names a part: what is given up is swept like every blob without one.
 */
import type { Artifact } from "../../db-adapters/contract.ts";
import { BlobNotFoundError } from "../../storage-adapters/contract.ts";
import { formOf, openArtifact, putArtifact } from "../blobs/artifacts.ts";
import type { Context } from "../context.ts";
import { AppError } from "../errors.ts";
import type { OrganizationAccess } from "../rules/access.ts";
import { deleteBelow, getAnyArtifact } from "./artifacts.ts";
import { Tally } from "./artifacts-tally.ts";

export const PART_BYTES = 16 * 1024 * 1024;
/** Shorter than the day after which the sweep takes blobs that no row names: no part goes before its upload. */
export const PARTS_WITHIN_MS = 12 * 3_600_000;

const NUMBER_DIGITS = 6;

interface Part {
  readonly number: number;
  readonly blobKey: string;
  readonly sizeBytes: number;
  readonly isSealed: boolean;
}

function partKeyOf({ blobKey }: Artifact, number: number): string {
  return `${blobKey}.${String(number).padStart(NUMBER_DIGITS, "0")}`;
}

function partCountOf({ sizeBytes }: Artifact): number {
  return Math.max(1, Math.ceil(sizeBytes / PART_BYTES));
}

/** Parts are numbered from 1; all but the last have PART_BYTES. @throws AppError INVALID_REQUEST */
export function partBytesOf(artifact: Artifact, number: number): number {
  const count = partCountOf(artifact);
  if (number < 1 || number > count) {
    throw new AppError("INVALID_REQUEST", {}, { detail: `the upload has parts 1 to ${count}` });
  }
  return number < count ? PART_BYTES : artifact.sizeBytes - (count - 1) * PART_BYTES;
}

/** Whole ones, by their size; by number. */
async function presentParts(ctx: Context, artifact: Artifact): Promise<Map<number, Part>> {
  const present = new Map<number, Part>();
  const count = partCountOf(artifact);
  for await (const { key: blobKey, sizeBytes: storedBytes } of ctx.blobs.list(`${artifact.blobKey}.`)) {
    const number = Number(blobKey.slice(artifact.blobKey.length + 1));
    if (!Number.isInteger(number) || number < 1 || number > count) continue;
    const sizeBytes = partBytesOf(artifact, number);
    const form = formOf(storedBytes, sizeBytes);
    if (form !== null) present.set(number, { number, blobKey, sizeBytes, isSealed: form === "sealed" });
  }
  return present;
}

/** An upload that was granted and is not confirmed. @throws AppError ARTIFACT_NOT_FOUND */
export async function getPendingUpload(
  ctx: Context,
  access: OrganizationAccess,
  id: string,
): Promise<Artifact> {
  const artifact = await getAnyArtifact(ctx, access, id);
  if (artifact.pendingUntilMs === null || artifact.pendingUntilMs < ctx.nowMs()) {
    throw new AppError("ARTIFACT_NOT_FOUND", { artifactId: id });
  }
  return artifact;
}

/** Numbers of the parts that are there, ascending. */
export async function listParts(ctx: Context, artifact: Artifact): Promise<number[]> {
  return [...(await presentParts(ctx, artifact)).keys()].sort((a, b) => a - b);
}

/** One part through us; again is fine. @throws AppError ARTIFACT_CHECKSUM | INVALID_REQUEST */
export async function receivePart(
  ctx: Context,
  artifact: Artifact,
  number: number,
  expected: { readonly sha256?: string | undefined },
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const sizeBytes = partBytesOf(artifact, number);
  const tally = new Tally({ ...expected, sizeBytes }, (bytes) =>
    bytes > sizeBytes ? new AppError("ARTIFACT_CHECKSUM", { sizeBytes: bytes }) : null,
  );
  await putArtifact(ctx, partKeyOf(artifact, number), tally.of(body), { maxBytes: sizeBytes });
}

/** What a part looks like to `partLink`. */
export function partOf(artifact: Artifact, number: number, sha256: string) {
  return { key: partKeyOf(artifact, number), sizeBytes: partBytesOf(artifact, number), sha256 };
}

/**
 * Makes the artifact's blob of its parts. Two at once make the same blob twice.
 * @throws AppError ARTIFACT_NOT_UPLOADED while parts are missing; ARTIFACT_CHECKSUM when they are not what was
 *   announced, and then they are gone
 */
export async function joinParts(ctx: Context, artifact: Artifact): Promise<void> {
  const present = await presentParts(ctx, artifact);
  const parts: Part[] = [];
  for (let number = 1; number <= partCountOf(artifact); number++) {
    const part = present.get(number);
    if (part === undefined) throw new AppError("ARTIFACT_NOT_UPLOADED", { artifactId: artifact.id, number });
    parts.push(part);
  }
  const { sizeBytes, sha256 } = artifact;
  const tally = new Tally({ sizeBytes, sha256 }, () => null);
  try {
    await putArtifact(ctx, artifact.blobKey, tally.of(bytesOf(ctx, parts)), { maxBytes: sizeBytes });
  } catch (error) {
    if (error instanceof AppError) await dropParts(ctx, artifact.blobKey);
    // Somebody else has joined them, or taken the upload back.
    if (error instanceof BlobNotFoundError) {
      throw new AppError("ARTIFACT_NOT_UPLOADED", { artifactId: artifact.id }, { cause: error });
    }
    throw error;
  }
}

async function* bytesOf(ctx: Context, parts: readonly Part[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const part of parts) yield* await openArtifact(ctx, part, { startByte: 0, endByte: part.sizeBytes });
}

/** What can't be removed now, the sweep removes. */
export async function dropParts(ctx: Context, blobKey: string): Promise<void> {
  await deleteBelow(ctx, `${blobKey}.`);
}
