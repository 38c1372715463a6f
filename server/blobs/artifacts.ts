/** The bytes of artifacts: sealed on the way in without compression, so that any range can be read again. */
import { randomBytes } from "node:crypto";
import { type BlobKey, type BlobStore, InvalidBlobKeyError } from "../../storage-adapters/contract.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { type PlainRange, sealedBytesOf, unsealRange } from "../crypto/seal-range.ts";
import { sealStream } from "../crypto/seal-stream.ts";

export const ARTIFACTS_PREFIX = "artifacts/";

const OWNER_ID = /^[A-Za-z0-9_-]{2,100}$/;
const ARTIFACT_KEY = /^artifacts\/[A-Za-z0-9_-]{2}\/([A-Za-z0-9_-]{2,100})\/[^/]+$/;

export interface SealContext {
  readonly blobs: BlobStore;
  readonly keyring: Keyring;
}

/** A key no blob has yet. `ownerId` is the immutable id of a stack or an organization. */
export function newArtifactKey(ownerId: string): BlobKey {
  if (!OWNER_ID.test(ownerId)) throw new InvalidBlobKeyError("Not an owner's id");
  return `${ARTIFACTS_PREFIX}${ownerId.slice(0, 2)}/${ownerId}/${randomBytes(16).toString("hex")}`;
}

function placeOf(blobKey: BlobKey): { scopeId: string; blobKey: BlobKey } {
  const scopeId = ARTIFACT_KEY.exec(blobKey)?.[1];
  if (scopeId === undefined) throw new InvalidBlobKeyError("Not the key of an artifact");
  return { scopeId, blobKey };
}

/**
 * Seals and stores `body` whole or not at all. Its chunks are ours from then on: they are freed when they were
 * used. `maxBytes` bounds the plain bytes; whoever counts them throws.
 */
export async function putArtifact(
  { blobs, keyring }: SealContext,
  blobKey: BlobKey,
  body: AsyncIterable<Uint8Array>,
  { maxBytes }: { readonly maxBytes: number },
): Promise<void> {
  const how = { compress: false, recycle: true };
  const sealed = sealStream(keyring, placeOf(blobKey).scopeId, blobKey, body, how);
  await blobs.put(blobKey, sealed, { maxBytes: sealedBytesOf(maxBytes) });
}

export interface StoredArtifact {
  readonly blobKey: BlobKey;
  /** Plain bytes. */
  readonly sizeBytes: number;
  readonly isSealed: boolean;
}

/** What a stored blob of an artifact is by its size; null when it is neither. */
export function formOf(storedBytes: number, plainBytes: number): "sealed" | "plain" | null {
  if (storedBytes === sealedBytesOf(plainBytes)) return "sealed";
  return storedBytes === plainBytes ? "plain" : null;
}

/**
 * The plain bytes of `range`. Iterate to the end or `break`; the chunks are the caller's, who may free them.
 * @throws BlobNotFoundError; SealError while iterating
 */
export async function openArtifact(
  { blobs, keyring }: SealContext,
  { blobKey, sizeBytes, isSealed }: StoredArtifact,
  range: PlainRange,
): Promise<AsyncIterable<Uint8Array>> {
  if (!isSealed) return blobs.open(blobKey, range);
  return unsealRange(keyring, placeOf(blobKey), sizeBytes, range, (startByte, endByte) =>
    blobs.open(blobKey, { startByte, endByte }).then(oneAhead),
  );
}

/** Reads the next chunk while the one before is being opened and sent: disk and ciphers don't wait in turns. */
async function* oneAhead(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = body[Symbol.asyncIterator]();
  const take = () => {
    const next = chunks.next();
    next.catch(() => undefined); // told when its turn comes
    return next;
  };
  let isDone = false;
  try {
    for (let next = take(); ; ) {
      const { done, value } = await next;
      isDone = done === true;
      if (isDone) return;
      next = take();
      yield value;
    }
  } finally {
    // Not awaited: a chunk that is on its way may take as long as its sender likes.
    if (!isDone) chunks.return?.().catch(() => undefined);
  }
}
