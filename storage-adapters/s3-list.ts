import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type MultipartUpload,
} from "@aws-sdk/client-s3";
import type { BlobEntry } from "./contract.ts";
import { named, s3CodeOf } from "./s3-errors.ts";
import { blobKeyOf, type S3Target } from "./s3-target.ts";

/** A page (1,000 at most) is in memory at a time. Objects of others are passed over. */
export async function* listObjects(
  target: S3Target,
  prefix: string,
): AsyncGenerator<BlobEntry, void, undefined> {
  // MinIO refuses a prefix with a segment of dots, even one that goes on.
  const place = { Bucket: target.bucket, Prefix: target.prefix + prefix.replace(/(^|\/)\.{1,2}$/, "$1") };
  let token: string | undefined;
  do {
    const list = new ListObjectsV2Command({
      ...place,
      ...(token !== undefined && { ContinuationToken: token }),
    });
    const page = await named(target.client.send(list));
    for (const { Key = "", Size = 0, LastModified } of page.Contents ?? []) {
      const key = blobKeyOf(target, Key);
      if (key === null || !key.startsWith(prefix)) continue;
      // Whole seconds, as HEAD tells them.
      const modifiedMs = Math.floor((LastModified?.getTime() ?? 0) / 1000) * 1000;
      yield { key, sizeBytes: Size, modifiedMs };
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

export interface UploadSweep {
  readonly olderThanMs: number;
  /** Counts only. */
  readonly dryRun: boolean;
  /** These are left alone. */
  readonly uploading: ReadonlySet<string>;
}

/** Aborts what was begun under the prefix before `olderThanMs`. Returns how many. */
export async function sweepUploads(
  target: S3Target,
  { olderThanMs, dryRun, uploading }: UploadSweep,
): Promise<number> {
  let aborted = 0;
  for await (const { Key, UploadId, Initiated } of listUploads(target)) {
    if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
    if (blobKeyOf(target, Key) === null) continue;
    if (uploading.has(UploadId) || Initiated.getTime() >= olderThanMs) continue;
    if (dryRun || (await abortUpload(target, Key, UploadId))) aborted++;
  }
  return aborted;
}

async function* listUploads(target: S3Target): AsyncGenerator<MultipartUpload, void, undefined> {
  // MinIO takes a prefix here for the whole name of one object, so only AWS is asked to narrow the list.
  const place = { Bucket: target.bucket, ...(target.endpoint === null && { Prefix: target.prefix }) };
  let marker: { KeyMarker: string; UploadIdMarker?: string } | null = null;
  do {
    const page: ListUploadsPage = await named(
      target.client.send(new ListMultipartUploadsCommand({ ...place, ...marker })),
    );
    yield* page.Uploads ?? [];
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
    marker =
      IsTruncated !== true || NextKeyMarker === undefined
        ? null
        : {
            KeyMarker: NextKeyMarker,
            ...(NextUploadIdMarker !== undefined && { UploadIdMarker: NextUploadIdMarker }),
          };
  } while (marker !== null);
}

interface ListUploadsPage {
  readonly Uploads?: MultipartUpload[] | undefined;
  readonly IsTruncated?: boolean | undefined;
  readonly NextKeyMarker?: string | undefined;
  readonly NextUploadIdMarker?: string | undefined;
}

/** False when somebody else ended it first. */
async function abortUpload(target: S3Target, Key: string, UploadId: string): Promise<boolean> {
  try {
    await target.client.send(new AbortMultipartUploadCommand({ Bucket: target.bucket, Key, UploadId }));
    return true;
  } catch (error) {
    if (s3CodeOf(error) === "NoSuchUpload") return false;
    return await named(Promise.reject(error));
  }
}
