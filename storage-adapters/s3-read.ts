import { Readable } from "node:stream";
import { GetObjectCommand, HeadBucketCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import type { ByteRange } from "./byte-range.ts";
import { type BlobEntry, BlobNotFoundError, BlobStoreUnavailableError } from "./contract.ts";
import { named, s3CodeOf, s3StatusOf, toStoreError } from "./s3-errors.ts";
import type { S3Target } from "./s3-target.ts";

/** Null when there is no such object. The entry's key is the whole key in the bucket. */
export async function headObject(target: S3Target, objectKey: string): Promise<BlobEntry | null> {
  const head = new HeadObjectCommand({ Bucket: target.bucket, Key: objectKey });
  try {
    const { ContentLength, LastModified } = await target.client.send(head);
    return { key: objectKey, sizeBytes: ContentLength ?? 0, modifiedMs: LastModified?.getTime() ?? 0 };
  } catch (error) {
    if (s3StatusOf(error) !== 404) throw toStoreError(error);
  }
  // The answer to a HEAD has no body to tell a missing bucket from a missing object.
  await named(target.client.send(new HeadBucketCommand({ Bucket: target.bucket })));
  return null;
}

/** Resolves with the answer's head in hand. @throws BlobNotFoundError */
export async function readObject(
  target: S3Target,
  objectKey: string,
  range: ByteRange | null,
): Promise<AsyncIterable<Uint8Array>> {
  if (range !== null && range.startByte === range.endByte) {
    // Not one byte: no Range header can say that.
    if ((await headObject(target, objectKey)) === null) throw notFound(objectKey);
    return nothing();
  }
  const get = new GetObjectCommand({
    Bucket: target.bucket,
    Key: objectKey,
    ...(range !== null && { Range: `bytes=${range.startByte}-${range.endByte - 1}` }),
  });
  try {
    const { Body } = await target.client.send(get);
    if (Body instanceof Readable) return chunksOf(Body);
    throw new BlobStoreUnavailableError("The S3 store gave an object no body");
  } catch (error) {
    const code = s3CodeOf(error);
    if (code === "NoSuchKey") throw notFound(objectKey, error);
    if (code === "InvalidRange" || s3StatusOf(error) === 416) return nothing();
    throw toStoreError(error);
  }
}

function notFound(objectKey: string, cause?: unknown): BlobNotFoundError {
  return new BlobNotFoundError(`There is no object ${objectKey}`, { cause });
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

/** Reads on only as its own reader does; a reader that leaves early closes the connection. */
async function* chunksOf(body: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    throw toStoreError(error);
  } finally {
    body.destroy();
  }
}
