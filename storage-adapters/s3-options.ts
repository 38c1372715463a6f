/** What an S3 store is opened with. No import of the AWS SDK here: everybody may read this. */
import { BlobStoreSetupError } from "./contract.ts";
import { checkBlobKey } from "./keys.ts";

export interface S3Options {
  readonly bucket: string;
  /** `http(s)://host[:port]` of MinIO and others; AWS itself when absent. */
  readonly endpoint?: string;
  /** By the AWS chain (AWS_REGION, profile) when absent; `us-east-1` with an endpoint. */
  readonly region?: string;
  /** Put before every key, with a slash between; slashes around it don't matter. */
  readonly prefix?: string;
  /** `host/bucket/key` instead of `bucket.host/key`. True by default with an endpoint, false without. */
  readonly forcePathStyle?: boolean;
  /** PEM certificates to trust besides those that Node trusts. */
  readonly caFile?: string;
  /** What the store encrypts with. Absent: what the bucket does by default. A KMS key implies `aws:kms`. */
  readonly sse?: "AES256" | "aws:kms";
  readonly sseKmsKeyId?: string;
  /** What proves each body whole on its way. By default sha256 on AWS, md5 with an endpoint: all know that. */
  readonly checksum?: "sha256" | "md5";
  /** By the AWS chain (environment, profile, web identity, ECS, EC2) when absent. */
  readonly credentials?: S3Credentials;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** S3 takes keys of 1,024 bytes, ours have up to 512. */
const PREFIX_CHARS_MAX = 500;

/** "" or "a/b/". @throws BlobStoreSetupError for what could not be the beginning of our keys */
export function cleanPrefix(prefix: string): string {
  const cleaned = prefix.split("/").filter(Boolean).join("/");
  if (cleaned === "") return "";
  try {
    checkBlobKey(cleaned);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BlobStoreSetupError(`The S3 prefix "${prefix}" can't be used. ${why}`, { cause: error });
  }
  if (cleaned.length > PREFIX_CHARS_MAX) {
    throw new BlobStoreSetupError(`The S3 prefix is longer than ${PREFIX_CHARS_MAX} characters`);
  }
  return `${cleaned}/`;
}
