/**
 * Bytes by key: sealed deployment documents and, later, artifacts. Bytes in, the same bytes out. An adapter
 * never looks into a body; compression and encryption happen before it (server/blobs).
 */

/** 1 to 512 characters of `[A-Za-z0-9._/-]`; segments between slashes are neither empty, `.` nor `..`. */
export type BlobKey = string;

export interface BlobInfo {
  readonly sizeBytes: number;
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string;
}

export interface BlobEntry {
  readonly key: BlobKey;
  readonly sizeBytes: number;
  /** When it was stored, Unix milliseconds. */
  readonly modifiedMs: number;
}

export class BlobNotFoundError extends Error {
  override readonly name = "BlobNotFoundError";
}
export class BlobTooLargeError extends Error {
  override readonly name = "BlobTooLargeError";
}
export class InvalidBlobKeyError extends Error {
  override readonly name = "InvalidBlobKeyError";
}
/** The store can't be reached or is full: the request may be retried. `cause` is the driver's own error. */
export class BlobStoreUnavailableError extends Error {
  override readonly name = "BlobStoreUnavailableError";
}

export interface BlobStore {
  /**
   * Stores `body` whole or not at all; a reader sees the old blob or the new one, never a part.
   * Durable on return: the bytes survive a power cut. An error thrown by `body` is rethrown as it is.
   * @throws BlobTooLargeError past `maxBytes`; what was there before stays
   */
  put(
    key: BlobKey,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    limit: { readonly maxBytes: number },
  ): Promise<BlobInfo>;
  /**
   * Streams a blob, or the half-open byte range `[startByte, endByte)` of it.
   * @throws BlobNotFoundError before the first byte, never midway
   */
  open(
    key: BlobKey,
    range?: { readonly startByte: number; readonly endByte: number },
  ): Promise<AsyncIterable<Uint8Array>>;
  /** Null when there is no such blob. */
  find(key: BlobKey): Promise<BlobEntry | null>;
  /** Idempotent: deleting what is not there succeeds. */
  delete(key: BlobKey): Promise<void>;
  /** Blobs whose key starts with `prefix`, each once, in no promised order; never one big list in memory. */
  list(prefix: string): AsyncIterable<BlobEntry>;
  /** Removes what interrupted puts left behind since before `olderThanMs`. Returns how many. */
  sweepPartial(olderThanMs: number): Promise<number>;
  /** What this store is, for `doctor` and the start-up line. */
  describe(): Promise<Readonly<Record<string, string>>>;
  close(): Promise<void>;
}
