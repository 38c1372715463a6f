/** One bucket and a prefix in it, with the client that reaches it. */
import { readFile } from "node:fs/promises";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { getCACertificates } from "node:tls";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { type BlobKey, BlobStoreSetupError } from "./contract.ts";
import { isBlobKey } from "./keys.ts";
import { cleanPrefix, type S3Options } from "./s3-options.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** Without a byte in either direction. A reader that takes nothing for so long is cut off as well. */
const IDLE_TIMEOUT_MS = 30_000;
/** Every blob that is being read holds one; puts must still find theirs beside slow readers. */
const SOCKETS_MAX = 256;
const ATTEMPTS_MAX = 3;

export interface S3Target {
  readonly client: S3Client;
  readonly bucket: string;
  /** "" or "a/b/". */
  readonly prefix: string;
  /** The server's address; null is AWS. */
  readonly endpoint: string | null;
  readonly isPathStyle: boolean;
  /** Sent with every new object. */
  readonly encryption: { ServerSideEncryption?: "AES256" | "aws:kms"; SSEKMSKeyId?: string };
  readonly checksum: "sha256" | "md5";
}

/**
 * No key has this character. MinIO's lists leave out what is below an object (`a/b` once `a` is there): with
 * the suffix no object's name is the folder of another. Also tells our objects from those of others.
 */
const OBJECT_SUFFIX = "!";

export function objectKeyOf({ prefix }: S3Target, key: BlobKey): string {
  return prefix + key + OBJECT_SUFFIX;
}

/** Null for an object that is none of ours. */
export function blobKeyOf({ prefix }: S3Target, objectKey: string): BlobKey | null {
  if (!objectKey.startsWith(prefix) || !objectKey.endsWith(OBJECT_SUFFIX)) return null;
  const key = objectKey.slice(prefix.length, -OBJECT_SUFFIX.length);
  return isBlobKey(key) ? key : null;
}

/** Talks to nobody yet. @throws BlobStoreSetupError for options that can't be right */
export async function createS3Target(options: S3Options): Promise<S3Target> {
  const { bucket, endpoint = null, sseKmsKeyId } = options;
  if (bucket === "") throw new BlobStoreSetupError("No S3 bucket is named: set STATEHOUSE_S3_BUCKET");
  if (endpoint !== null) checkEndpoint(endpoint);
  const sse = options.sse ?? (sseKmsKeyId === undefined ? undefined : "aws:kms");
  if (sse === "AES256" && sseKmsKeyId !== undefined) {
    throw new BlobStoreSetupError("A KMS key is named, but the S3 encryption is AES256: choose one of them");
  }
  const isPathStyle = options.forcePathStyle ?? endpoint !== null;
  return {
    client: new S3Client(await clientConfig(options, endpoint, isPathStyle)),
    bucket,
    prefix: cleanPrefix(options.prefix ?? ""),
    endpoint,
    isPathStyle,
    encryption: {
      ...(sse !== undefined && { ServerSideEncryption: sse }),
      ...(sseKmsKeyId !== undefined && { SSEKMSKeyId: sseKmsKeyId }),
    },
    checksum: options.checksum ?? (endpoint === null ? "sha256" : "md5"),
  };
}

async function clientConfig(
  options: S3Options,
  endpoint: string | null,
  isPathStyle: boolean,
): Promise<S3ClientConfig> {
  const region = options.region ?? (endpoint === null ? undefined : "us-east-1");
  const ca = options.caFile === undefined ? undefined : await trusting(options.caFile);
  const agent = { keepAlive: true, maxSockets: SOCKETS_MAX };
  return {
    ...(region !== undefined && { region }),
    ...(endpoint !== null && { endpoint }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
    forcePathStyle: isPathStyle,
    maxAttempts: ATTEMPTS_MAX,
    // The SDK's own checksums come as trailers of chunked bodies, which not every server takes. We send ours as
    // headers, and what is read is authenticated by whoever sealed it.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // For it the SDK would open a connection of its own, one that knows no CA of ours.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: IDLE_TIMEOUT_MS,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, ...(ca !== undefined && { ca }) }),
    },
  };
}

function checkEndpoint(endpoint: string): void {
  const url = URL.parse(endpoint);
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return;
  throw new BlobStoreSetupError(
    `The S3 endpoint "${endpoint}" is not an address: set STATEHOUSE_S3_ENDPOINT to http(s)://host[:port]`,
  );
}

async function trusting(caFile: string): Promise<string[]> {
  const pem = await readFile(caFile, "utf8").catch((cause: unknown) => {
    throw new BlobStoreSetupError(`The CA file ${caFile} can't be read`, { cause });
  });
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new BlobStoreSetupError(`The CA file ${caFile} holds no PEM certificate`);
  }
  return [...getCACertificates("default"), pem];
}
