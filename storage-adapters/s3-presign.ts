/** Signed links to one object. Signing is arithmetic: nobody is asked, nothing is looked at. */
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import {
  DIRECT_TRANSFER_SECONDS_MAX,
  type DirectDownload,
  type DirectTransfer,
  type DirectUpload,
  type DirectUploadLink,
} from "./contract.ts";
import { checkBlobKey } from "./keys.ts";
import { named } from "./s3-errors.ts";
import { objectKeyOf, type S3Target } from "./s3-target.ts";

export function createDirectTransfer(target: S3Target): DirectTransfer {
  return {
    presignPut: (upload) => presignPut(target, upload),
    presignGet: (download) => presignGet(target, download),
  };
}

async function presignPut(target: S3Target, upload: DirectUpload): Promise<DirectUploadLink> {
  checkBlobKey(upload.key);
  checkExpiry(upload.expiresSeconds);
  const { ServerSideEncryption, SSEKMSKeyId } = target.encryption;
  const headers: Record<string, string> = {
    "content-type": upload.contentType,
    "x-amz-checksum-sha256": upload.sha256Base64,
    ...(ServerSideEncryption !== undefined && { "x-amz-server-side-encryption": ServerSideEncryption }),
    ...(SSEKMSKeyId !== undefined && { "x-amz-server-side-encryption-aws-kms-key-id": SSEKMSKeyId }),
  };
  const put = new PutObjectCommand({
    Bucket: target.bucket,
    Key: objectKeyOf(target, upload.key),
    ContentLength: upload.sizeBytes,
    ContentType: upload.contentType,
    ChecksumSHA256: upload.sha256Base64,
    ...target.encryption,
  });
  const names = new Set(Object.keys(headers));
  const url = await named(
    getSignedUrl(target.client, put, {
      expiresIn: upload.expiresSeconds,
      // Left in the headers and signed there: a link for other bytes would be another link.
      unhoistableHeaders: names,
      signableHeaders: new Set([...names, "host", "content-length"]),
    }),
  );
  return { method: "PUT", url, headers };
}

async function presignGet(target: S3Target, download: DirectDownload): Promise<string> {
  checkBlobKey(download.key);
  checkExpiry(download.expiresSeconds);
  const { contentDisposition } = download;
  const get = new GetObjectCommand({
    Bucket: target.bucket,
    Key: objectKeyOf(target, download.key),
    ...(contentDisposition !== undefined && { ResponseContentDisposition: contentDisposition }),
  });
  return await named(getSignedUrl(target.client, get, { expiresIn: download.expiresSeconds }));
}

function checkExpiry(seconds: number): void {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= DIRECT_TRANSFER_SECONDS_MAX) return;
  throw new RangeError(`A link lasts 1 to ${DIRECT_TRANSFER_SECONDS_MAX} seconds`);
}
