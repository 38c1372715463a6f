import { S3ServiceException } from "@aws-sdk/client-s3";
import { BlobStoreSetupError, BlobStoreUnavailableError } from "./contract.ts";

const NAMES_WITHOUT_CODE = new Set(["TimeoutError", "CredentialsProviderError"]);

/** "NoSuchKey" of what S3 answered, "ECONNREFUSED" of a connection; null for an error of neither. */
export function s3CodeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if (error instanceof S3ServiceException) return error.name;
  if ("code" in error && typeof error.code === "string") return error.code;
  // `$metadata` is on all that the SDK gave up on: time-outs, answers that it can't read.
  const isSdks = "$metadata" in error || NAMES_WITHOUT_CODE.has(error.name);
  return isSdks ? error.name : null;
}

/** The HTTP status of what S3 answered; null when it did not. */
export function s3StatusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null;
}

/** What to throw for a failed call: whatever S3 or the way to it did wrong becomes a retryable error. */
export function toStoreError(error: unknown): unknown {
  const code = s3CodeOf(error);
  if (code === null || isOurs(error)) return error;
  const status = s3StatusOf(error);
  const what = status === null ? `can't be reached: ${code}` : `answered ${code} (${status})`;
  return new BlobStoreUnavailableError(`The S3 store ${what}`, { cause: error });
}

function isOurs(error: unknown): boolean {
  return error instanceof BlobStoreUnavailableError || error instanceof BlobStoreSetupError;
}

/** Runs a call to S3 and names its errors. */
export async function named<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw toStoreError(error);
  }
}
