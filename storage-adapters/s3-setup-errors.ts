/** Which errors at the first call mean that we are set up wrongly, and what to do about each. */
import { S3ServiceException } from "@aws-sdk/client-s3";
import { BlobStoreSetupError } from "./contract.ts";
import { s3CodeOf, s3StatusOf, toStoreError } from "./s3-errors.ts";
import type { S3Target } from "./s3-target.ts";

const CHECK_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role in use";
const CHECK_REGION = "set STATEHOUSE_S3_REGION to the region of the bucket";
const TLS_CODES = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_)/;

/** A BlobStoreSetupError where one is due; otherwise as at any other time. */
export function toSetupError(error: unknown, target: S3Target): unknown {
  const advice = adviceOn(error, target);
  if (advice === null) return toStoreError(error);
  return new BlobStoreSetupError(advice, { cause: error });
}

function adviceOn(error: unknown, target: S3Target): string | null {
  if (error instanceof Error && /^Region (is missing|not accepted)/.test(error.message)) {
    return `The AWS region is missing or is none: ${CHECK_REGION}`;
  }
  const code = s3CodeOf(error);
  if (code === null) return null;
  if (TLS_CODES.test(code)) {
    return `The certificate of ${target.endpoint ?? "AWS"} is not trusted (${code}): name the file of its CA with STATEHOUSE_S3_CA_FILE`;
  }
  return adviceOnCode(code, error, target) ?? adviceOnStatus(error, target);
}

function adviceOnCode(code: string, error: unknown, target: S3Target): string | null {
  const where = target.endpoint ?? "AWS";
  switch (code) {
    case "NoSuchBucket":
      return `There is no bucket "${target.bucket}" at ${where}: make it, or correct STATEHOUSE_S3_BUCKET`;
    case "InvalidBucketName":
      return `"${target.bucket}" can't be the name of a bucket: correct STATEHOUSE_S3_BUCKET`;
    case "CredentialsProviderError":
      return `No AWS credentials were found: ${CHECK_KEYS}`;
    case "InvalidAccessKeyId":
      return `${where} does not know the access key ID: ${CHECK_KEYS}`;
    case "SignatureDoesNotMatch":
      return `The secret access key does not belong to the access key ID: ${CHECK_KEYS}`;
    case "ExpiredToken":
    case "InvalidToken":
    case "TokenRefreshRequired":
      return `The AWS session token has expired or is not valid (${code}): get new credentials`;
    case "RequestTimeTooSkewed":
      return `This machine's clock differs from that of ${where} by more than 15 minutes: set it`;
    case "AccessDenied":
    case "AllAccessDisabled":
      return `The credentials may not list the bucket "${target.bucket}": ${permissionsAdvice(target)}`;
    case "PermanentRedirect":
    case "AuthorizationHeaderMalformed":
    case "IllegalLocationConstraintException":
      return `The bucket "${target.bucket}" is in another region${regionIn(error)}: ${CHECK_REGION}`;
    default:
      return null;
  }
}

/** A proxy, a console's port, another service. */
export function notS3({ endpoint }: S3Target, how: string): BlobStoreSetupError {
  return new BlobStoreSetupError(
    `${endpoint ?? "AWS"} answers ${how}, like no S3 server: check STATEHOUSE_S3_ENDPOINT`,
  );
}

/** What is refused, but not in S3's words. */
function adviceOnStatus(error: unknown, target: S3Target): string | null {
  const status = s3StatusOf(error);
  if (status === null) return null;
  const where = target.endpoint ?? "AWS";
  if (status === 401 || status === 403) return `${where} refuses the credentials (${status}): ${CHECK_KEYS}`;
  if (status >= 300 && status < 500 && status !== 408 && status !== 429) {
    return notS3(target, `with ${status}`).message;
  }
  return null;
}

function regionIn(error: unknown): string {
  if (!(error instanceof S3ServiceException)) return "";
  const named = error.$response?.headers["x-amz-bucket-region"] ?? ("Region" in error ? error.Region : null);
  return typeof named === "string" ? ` (${named})` : "";
}

/** What a policy has to grant. */
export function permissionsAdvice({ bucket, prefix }: S3Target): string {
  return (
    `grant s3:ListBucket and s3:ListBucketMultipartUploads on arn:aws:s3:::${bucket}, and s3:GetObject, ` +
    `s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on arn:aws:s3:::${bucket}/${prefix}*`
  );
}
