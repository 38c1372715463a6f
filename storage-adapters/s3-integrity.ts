import { hash } from "node:crypto";
import type { S3Target } from "./s3-target.ts";

/** Sent with a body, so that the store refuses what was changed on the way. */
export type S3Integrity = { readonly ChecksumSHA256: string } | { readonly ContentMD5: string };

export function integrityOf(bytes: Uint8Array, checksum: S3Target["checksum"]): S3Integrity {
  if (checksum === "sha256") return { ChecksumSHA256: hash("sha256", bytes, "base64") };
  return { ContentMD5: hash("md5", bytes, "base64") };
}
