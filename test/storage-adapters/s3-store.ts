/**
 * What s3rver keeps its objects in, in place of its own files. Those are written in place, so that its
 * readers see parts of objects, which S3 never shows; it cannot abort or list uploads; it takes `bytes=0-0`
 * for the whole object; and it believes every checksum. Here a PUT is one assignment, and a body that does
 * not match its checksum is refused.
 */
import { hash } from "node:crypto";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";

type Metadata = Record<string, string | number>;
/** A request, or a body that is already here. */
type Content = Buffer | (Readable & { readonly headers?: Readonly<Record<string, string | undefined>> });

interface S3Object {
  readonly bucket: string;
  readonly key: string;
  readonly content: Content;
  readonly metadata: Metadata;
  range?: { readonly start: number; readonly end: number };
}

interface Stored {
  readonly bytes: Buffer;
  readonly metadata: Metadata;
}

export interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedMs: number;
  readonly metadata: Metadata;
  readonly parts: Map<number, { readonly bytes: Buffer; readonly md5: string }>;
}

interface ListOptions {
  readonly prefix?: string;
  readonly startAfter?: string;
  readonly maxKeys?: number;
}

const require = createRequire(import.meta.url);
const S3ObjectModel: new (
  bucket: string,
  key: string,
  content: Content | null,
  metadata: Metadata,
) => S3Object = require("s3rver/lib/models/object.js");
export const S3Error: new (
  code: string,
  message: string,
  detail?: Record<string, string>,
) => Error = require("s3rver/lib/models/error.js");

/** The methods are those that s3rver calls. */
export class MemoryStore {
  readonly #buckets = new Map<string, { name: string; creationDate: Date }>();
  readonly #objects = new Map<string, Stored>();
  readonly uploads = new Map<string, Upload>();

  async getBucket(name: string) {
    return this.#buckets.get(name) ?? null;
  }

  async putBucket(name: string) {
    this.#buckets.set(name, { name, creationDate: new Date() });
    return this.getBucket(name);
  }

  async getSubresource(): Promise<null> {
    return null;
  }

  async existsObject(bucket: string, key: string): Promise<boolean> {
    return this.#objects.has(`${bucket}/${key}`);
  }

  async getObject(bucket: string, key: string, options: { start?: number; end?: number } = {}) {
    const stored = this.#objects.get(`${bucket}/${key}`);
    if (stored === undefined) return null;
    const { bytes, metadata } = stored;
    const start = options.start ?? 0;
    const end = Math.min(options.end ?? Number.POSITIVE_INFINITY, bytes.length - 1);
    const isRange = options.start !== undefined;
    const isOutside = isRange && start > end;
    const content = isOutside ? null : Readable.from(slices(bytes.subarray(start, end + 1)));
    const object = new S3ObjectModel(bucket, key, content, metadata);
    if (isRange) object.range = { start, end };
    return object;
  }

  async putObject({ bucket, key, content, metadata }: S3Object): Promise<{ size: number; md5: string }> {
    const bytes = await verified(content);
    return this.#keep(bucket, key, bytes, metadata, hash("md5", bytes));
  }

  async deleteObject(bucket: string, key: string): Promise<void> {
    this.#objects.delete(`${bucket}/${key}`);
  }

  async listObjects(bucket: string, { prefix = "", startAfter = "", maxKeys = 1000 }: ListOptions) {
    const keys = [...this.#objects.keys()]
      .filter((path) => path.startsWith(`${bucket}/${prefix}`))
      .map((path) => path.slice(bucket.length + 1))
      .filter((key) => key > startAfter)
      .sort();
    const objects = keys.slice(0, maxKeys).map((key) => {
      return new S3ObjectModel(bucket, key, null, this.#objects.get(`${bucket}/${key}`)?.metadata ?? {});
    });
    return { objects, commonPrefixes: [], isTruncated: keys.length > maxKeys };
  }

  async initiateUpload(bucket: string, key: string, uploadId: string, metadata: Metadata): Promise<void> {
    this.uploads.set(uploadId, {
      bucket,
      key,
      uploadId,
      initiatedMs: Date.now(),
      metadata,
      parts: new Map(),
    });
  }

  async putPart(_bucket: string, uploadId: string, partNumber: string, content: Content) {
    const bytes = await verified(content);
    const md5 = hash("md5", bytes);
    this.#uploadOf(uploadId).parts.set(Number(partNumber), { bytes, md5 });
    return { size: bytes.length, md5 };
  }

  async putObjectMultipart(
    bucket: string,
    uploadId: string,
    named: readonly { number: number; etag: string }[],
  ) {
    const { key, parts, metadata } = this.#uploadOf(uploadId);
    const bodies = named.map(({ number, etag }, index) => {
      const part = parts.get(number);
      if (part === undefined || part.md5 !== etag) throw new S3Error("InvalidPart", `No part ${number}`);
      const isLast = index === named.length - 1;
      if (!isLast && part.bytes.length < 5 * 1024 * 1024) throw new S3Error("EntityTooSmall", "Too small");
      return part.bytes;
    });
    this.uploads.delete(uploadId);
    const bytes = Buffer.concat(bodies);
    return this.#keep(bucket, key, bytes, metadata, `${hash("md5", bytes)}-${named.length}`);
  }

  /** What s3rver does not know itself. */
  abortUpload(uploadId: string): void {
    this.#uploadOf(uploadId);
    this.uploads.delete(uploadId);
  }

  #uploadOf(uploadId: string): Upload {
    const upload = this.uploads.get(uploadId);
    if (upload === undefined) throw new S3Error("NoSuchUpload", "The specified upload does not exist.");
    return upload;
  }

  #keep(bucket: string, key: string, bytes: Buffer, metadata: Metadata, md5: string) {
    const own = {
      etag: JSON.stringify(md5),
      "last-modified": new Date().toUTCString(),
      "content-length": bytes.length,
    };
    this.#objects.set(`${bucket}/${key}`, { bytes, metadata: { ...metadata, ...own } });
    return { size: bytes.length, md5 };
  }
}

/** The whole body. @throws S3Error when it is cut off or is not what its headers say */
async function verified(content: Content): Promise<Buffer> {
  if (Buffer.isBuffer(content)) return content;
  const bytes = await buffer(content);
  const headers = content.headers ?? {};
  const sha256 = hash("sha256", bytes, "base64");
  const claims = [
    [headers["content-md5"], hash("md5", bytes, "base64")],
    [headers["x-amz-checksum-sha256"], sha256],
    [headers["content-length"], String(bytes.length)],
  ];
  for (const [claimed, real] of claims) {
    if (claimed !== undefined && claimed !== real) throw new S3Error("BadDigest", "Not the bytes announced");
  }
  const signed = headers["x-amz-content-sha256"];
  const isSigned = signed !== undefined && /^[0-9a-f]{64}$/.test(signed);
  if (isSigned && Buffer.from(signed, "hex").toString("base64") !== sha256) {
    throw new S3Error("XAmzContentSHA256Mismatch", "Not the bytes that were signed");
  }
  return bytes;
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
