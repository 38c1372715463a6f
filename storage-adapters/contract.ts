/**
 * Bytes by key: sealed deployment documents and, later, artifacts. Bytes in, the same bytes out. An adapter
 * never looks into a body; compression and encryption happen before it (server/blobs).
 */

/**
 * 1 to 512 characters of `[A-Za-z0-9._/-]`; segments between slashes have 1 to 200 characters and are neither
 * `.` nor `..`. Both `a` and `a/b` may be keys at once. Methods throw InvalidBlobKeyError for anything else.
 */
export type BlobKey = string;

export interface BlobInfo {
  readonly sizeBytes: number;
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
/**
 * The store is there but will not serve us as we are set up: a wrong name, key or permission. Thrown at open
 * alone; to try again as we are is no use. The message says what to do.
 */
export class BlobStoreSetupError extends Error {
  override readonly name = "BlobStoreSetupError";
}
/** The store can't be reached or is full: the request may be retried. `cause` is the driver's own error. */
export class BlobStoreUnavailableError extends Error {
  override readonly name = "BlobStoreUnavailableError";
}

export interface BlobStore {
  /**
   * Stores `body` whole or not at all; a reader sees the old blob or the new one, never a part.
   * Durable on return: the bytes survive a power cut. An error thrown by `body` is rethrown as it is.
   * A chunk of `body` is used up before the next is asked for: its memory may be filled anew or freed then.
   * @throws BlobTooLargeError past `maxBytes`; what was there before stays
   */
  put(
    key: BlobKey,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    limit: { readonly maxBytes: number },
  ): Promise<BlobInfo>;
  /**
   * Streams a blob, or the half-open byte range `[startByte, endByte)` of it. A range is clipped to the blob:
   * one that starts past the end is empty. Iterate once, to the end or until you `break`: what is never
   * iterated may hold a file or a socket open.
   * @throws BlobNotFoundError before the first byte, never midway; RangeError unless 0 <= startByte <= endByte
   */
  open(
    key: BlobKey,
    range?: { readonly startByte: number; readonly endByte: number },
  ): Promise<AsyncIterable<Uint8Array>>;
  /** Null when there is no such blob. */
  find(key: BlobKey): Promise<BlobEntry | null>;
  /** Idempotent: deleting what is not there succeeds. */
  delete(key: BlobKey): Promise<void>;
  /**
   * Blobs whose key starts with `prefix` ("" is all), each once, in no promised order; never one big list in
   * memory. The prefix may end amid a segment.
   * @throws InvalidBlobKeyError when no key can start like that
   */
  list(prefix: string): AsyncIterable<BlobEntry>;
  /** Removes what interrupted puts left behind since before `olderThanMs`, or counts it. Returns how many. */
  sweepPartial(olderThanMs: number, options?: { readonly dryRun: boolean }): Promise<number>;
  /** What this store is, for `doctor` and the start-up line. */
  describe(): Promise<Readonly<Record<string, string>>>;
  close(): Promise<void>;
  /** Only where clients can reach the store itself. */
  readonly direct?: DirectTransfer;
}

export const DIRECT_TRANSFER_SECONDS_MAX = 7 * 24 * 3600;

/**
 * Links with which a client moves the bytes of one blob to or from the store itself, without credentials and
 * past us. Whoever has a link may use it until it ends; it can't be taken back.
 */
export interface DirectTransfer {
  /** For one body of exactly this size, type and hash: the store refuses any other. */
  presignPut(upload: DirectUpload): Promise<DirectUploadLink>;
  /** A URL for GET, ranges included. Made without a look at the store: the blob need not be there (yet). */
  presignGet(download: DirectDownload): Promise<string>;
}

export interface DirectUpload {
  readonly key: BlobKey;
  readonly sizeBytes: number;
  readonly contentType: string;
  readonly sha256Base64: string;
  /** 1 to DIRECT_TRANSFER_SECONDS_MAX; RangeError otherwise. */
  readonly expiresSeconds: number;
}

export interface DirectUploadLink {
  readonly method: "PUT";
  readonly url: string;
  /** To be sent as they are; the size goes as Content-Length. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface DirectDownload {
  readonly key: BlobKey;
  readonly expiresSeconds: number;
  /** Sent back as Content-Disposition: the file name that a browser saves under. */
  readonly contentDisposition?: string;
}
