/**
 * Whole or not at all, by S3's own rules: an object is seen once its PUT or its CompleteMultipartUpload is
 * through, never before. A body up to one part goes in one request; of a longer one at most three parts are
 * in memory, the one being gathered among them.
 */
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { type BlobInfo, BlobTooLargeError } from "./contract.ts";
import { Gathered } from "./gathered.ts";
import { named } from "./s3-errors.ts";
import { integrityOf } from "./s3-integrity.ts";
import { MultipartUpload } from "./s3-multipart.ts";
import type { S3Target } from "./s3-target.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const MIB = 1024 * 1024;
export const PART_BYTES_MIN = 5 * MIB;
/** Times 10,000 parts: 2.4 TiB, the largest blob. */
export const PART_BYTES_MAX = 256 * MIB;
const PARTS_MAX = 10_000;

export interface ObjectWrite {
  readonly objectKey: string;
  readonly body: Body;
  readonly maxBytes: number;
  /** Uploads of this process that are under way; a sweep leaves them alone. */
  readonly uploading: Set<string>;
}

/**
 * On any failure the old object, if any, is what there is, and no parts are left behind.
 * @throws BlobTooLargeError; BlobStoreUnavailableError; what `body` throws, as it is
 */
export async function writeObject(target: S3Target, write: ObjectWrite): Promise<BlobInfo> {
  const maxBytes = Math.min(write.maxBytes, PART_BYTES_MAX * PARTS_MAX);
  const partBytes = partBytesFor(maxBytes);
  let gathered = new Gathered(partBytes);
  /** Used again, part after part: left to the garbage collector, a dozen of them would wait for it. */
  const free: Gathered[] = [];
  let sizeBytes = 0;
  let upload: MultipartUpload | null = null;
  try {
    for await (const chunk of write.body) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw new BlobTooLargeError(`The blob is larger than ${maxBytes} bytes`);
      for (let rest = gathered.add(chunk); rest.length > 0; rest = gathered.add(rest)) {
        upload ??= await MultipartUpload.begin(target, write.objectKey, write.uploading);
        const part = gathered;
        await upload.send(part.bytes, () => free.push(part));
        gathered = free.pop() ?? new Gathered(partBytes);
        gathered.clear();
      }
    }
    if (upload === null) await putAtOnce(target, write.objectKey, gathered.bytes);
    else await upload.complete(gathered.bytes);
    return { sizeBytes };
  } catch (error) {
    await upload?.abort();
    throw error;
  } finally {
    for (const part of [gathered, ...free]) part.release();
  }
}

/** The same for all parts, which is what the pickiest servers ask for: 5 MiB, the least that S3 takes, more from 48 GiB on. */
export function partBytesFor(maxBytes: number): number {
  const needed = Math.ceil(maxBytes / PARTS_MAX / MIB) * MIB;
  return Math.min(Math.max(needed, PART_BYTES_MIN), PART_BYTES_MAX);
}

async function putAtOnce(target: S3Target, objectKey: string, bytes: Uint8Array): Promise<void> {
  const put = new PutObjectCommand({
    Bucket: target.bucket,
    Key: objectKey,
    Body: bytes,
    ContentLength: bytes.length,
    ContentType: "application/octet-stream",
    ...integrityOf(bytes, target.checksum),
    ...target.encryption,
  });
  await named(target.client.send(put));
}
