import { BlobStoreUnavailableError } from "./contract.ts";

/** "ENOSPC" of an error that the file system raised; null for any other error. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error) || !("syscall" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/** What to throw for a failed file operation: full, read-only or broken disks become retryable errors. */
export function toStoreError(error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === null) return error;
  return new BlobStoreUnavailableError(`The blob folder answered ${errno}`, { cause: error });
}

/** Runs a file operation and names its errors. */
export async function named<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw toStoreError(error);
  }
}
