/**
 * Blobs as objects of a bucket: `<prefix>/<key>!`. S3 gives what the contract asks for by itself: an object is
 * replaced whole, durable once the answer is there, and read as it was when the read began. Import it
 * dynamically (open.ts does): the AWS SDK comes with it.
 */
import { DeleteObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { type ByteRange, checkRange } from "./byte-range.ts";
import type { BlobEntry, BlobInfo, BlobStore, DirectTransfer } from "./contract.ts";
import { checkBlobKey, checkBlobPrefix } from "./keys.ts";
import { named } from "./s3-errors.ts";
import { listObjects, sweepUploads } from "./s3-list.ts";
import type { S3Options } from "./s3-options.ts";
import { createDirectTransfer } from "./s3-presign.ts";
import { headObject, readObject } from "./s3-read.ts";
import { notS3, toSetupError } from "./s3-setup-errors.ts";
import { createS3Target, objectKeyOf, type S3Target } from "./s3-target.ts";
import { writeObject } from "./s3-write.ts";

/**
 * Looks at the bucket once.
 * @throws BlobStoreSetupError with what to do; BlobStoreUnavailableError when S3 can't be reached
 */
export async function openS3(options: S3Options): Promise<S3Store> {
  const target = await createS3Target(options);
  try {
    await checkBucket(target);
  } catch (error) {
    target.client.destroy();
    throw error;
  }
  return new S3Store(target);
}

/** A list, not a HEAD: only an answer with a body names what is wrong. */
export async function checkBucket(target: S3Target): Promise<void> {
  const list = new ListObjectsV2Command({ Bucket: target.bucket, Prefix: target.prefix, MaxKeys: 1 });
  try {
    const { Name, KeyCount } = await target.client.send(list);
    // A web page's answer parses as well, to nothing.
    if (Name === undefined && KeyCount === undefined) throw notS3(target, "with something else");
  } catch (error) {
    throw toSetupError(error, target);
  }
}

export class S3Store implements BlobStore {
  readonly direct: DirectTransfer;
  readonly #target: S3Target;
  readonly #uploading = new Set<string>();

  constructor(target: S3Target) {
    this.#target = target;
    this.direct = createDirectTransfer(target);
  }

  async put(...[key, body, { maxBytes }]: Parameters<BlobStore["put"]>): Promise<BlobInfo> {
    const objectKey = this.#objectKeyOf(key);
    return writeObject(this.#target, { objectKey, body, maxBytes, uploading: this.#uploading });
  }

  async open(key: string, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const objectKey = this.#objectKeyOf(key);
    if (range !== undefined) checkRange(range);
    return readObject(this.#target, objectKey, range ?? null);
  }

  async find(key: string): ReturnType<BlobStore["find"]> {
    const found = await headObject(this.#target, this.#objectKeyOf(key));
    return found === null ? null : { ...found, key };
  }

  async delete(key: string): Promise<void> {
    const place = { Bucket: this.#target.bucket, Key: this.#objectKeyOf(key) };
    await named(this.#target.client.send(new DeleteObjectCommand(place)));
  }

  async *list(prefix: string): AsyncGenerator<BlobEntry, void, undefined> {
    checkBlobPrefix(prefix);
    yield* listObjects(this.#target, prefix);
  }

  async sweepPartial(olderThanMs: number, { dryRun } = { dryRun: false }): Promise<number> {
    return sweepUploads(this.#target, { olderThanMs, dryRun, uploading: this.#uploading });
  }

  async describe(): Promise<Readonly<Record<string, string>>> {
    const { bucket, prefix, endpoint, isPathStyle, encryption, client } = this.#target;
    return {
      kind: "s3",
      bucket,
      prefix,
      endpoint: endpoint ?? "AWS",
      region: await client.config.region(),
      addressing: isPathStyle ? "path" : "virtual-hosted",
      encryption: encryption.ServerSideEncryption ?? "the bucket's own",
    };
  }

  async close(): Promise<void> {
    this.#target.client.destroy();
  }

  #objectKeyOf(key: string): string {
    checkBlobKey(key);
    return objectKeyOf(this.#target, key);
  }
}
